"""What the Linux kernel lets a process give up for good: files, sockets, tracing, privileges.

Landlock (kernel 5.13 and later) and seccomp are called through `ctypes`, because Python has no binding of its own. Each
function returns whether the kernel did what was asked, and a kernel without it changes nothing.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import socket
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from cloakbench.submissions.sandbox.system_calls import ARCHITECTURES, DENIED, DENIED_ALONE, FOR_ITSELF, Architecture

_SET_DUMPABLE, _SET_SECCOMP, _DROP_BOUND_CAPABILITY = 4, 22, 24
_SET_CHILD_SUBREAPER, _SET_NO_NEW_PRIVILEGES = 36, 38
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
"""Numbers that all architectures share."""

_NEW_NAMESPACES = 0x7E020000
"""Flags of clone that make namespaces. The flags of clone3 lie in memory, where a filter can't read them."""

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1, 1 << 1, 1 << 2, 1 << 3
_READING = _EXECUTE | _READ_FILE | _READ_DIRECTORY
_TRUNCATE = 1 << 14
_RIGHTS_BY_VERSION = ((1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1)
"""Landlock's rights on files by its version: 13 at first, renaming between folders from 2, truncating from 3."""
_NO_TCP, _SCOPED = 0b11, 0b11
"""TCP bind and connect (version 4); abstract UNIX sockets and signals to processes outside."""
SCOPED_FROM = 6
"""The first version that refuses signals to processes outside."""


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: int | bytes | None) -> int:
    """Returns what a system call returns: -1 for an error."""
    converted: list[ctypes.c_long | bytes | None] = []
    for argument in arguments:
        converted.append(ctypes.c_long(argument) if isinstance(argument, int) else argument)
    return int(_libc().syscall(ctypes.c_long(number), *converted))


def _prctl(option: int, value: int = 1, pointer: bytes | None = None) -> bool:
    unused = ctypes.c_ulong(0)
    return int(_libc().prctl(option, ctypes.c_ulong(value), pointer, unused, unused)) == 0


def set_dumpable(is_dumpable: bool) -> bool:
    """Sets whether processes of the same user may read this process's memory and environment."""
    return _prctl(_SET_DUMPABLE, int(is_dumpable))


def adopt_orphans() -> bool:
    """Makes this process the parent of every descendant whose own parent ends, instead of process 1."""
    return _prctl(_SET_CHILD_SUBREAPER)


def limit_resources(file_bytes: int) -> None:
    """Limits the size of any file that this process or a child writes, and switches core dumps off."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = file_bytes if most == resource.RLIM_INFINITY else min(file_bytes, most)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def drop_privileges() -> bool:
    """Gives up root's capabilities, and the way to get any by starting a program."""
    is_without_new = _prctl(_SET_NO_NEW_PRIVILEGES)
    for capability in range(64):
        _prctl(_DROP_BOUND_CAPABILITY, capability)
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None:
        return is_without_new
    header, nothing = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    return is_without_new and _call(architecture.numbers["capset"], header, nothing) == 0


def landlock_version() -> int:
    """Returns the version of the kernel's Landlock, below 1 where it has none."""
    return _call(_LANDLOCK_CREATE, None, 0, 1)


def restrict_files(
    readable: Iterable[Path], writable: Iterable[Path], hidden: Sequence[Path] = (), listed: Iterable[Path] = ()
) -> bool:
    """Restricts this process and its children to some files by Landlock; call it before any thread starts.

    TCP, signals to other processes and tracing them are refused as well where the kernel's Landlock can.

    Args:
        readable: Files and folders that may be read and run.
        writable: Files and folders in which anything may be changed; devices among them.
        hidden: Folders whose files may not be read, though they lie in readable ones.
        listed: Folders of which only the names of files may be read.

    Returns:
        Whether the restriction holds.
    """
    version = landlock_version()
    if version < 1:
        return False
    rights = _RIGHTS_BY_VERSION[min(version, 3) - 1]
    attributes = struct.pack("=QQQ", rights, _NO_TCP if version >= 4 else 0, _SCOPED if version >= SCOPED_FROM else 0)
    size = 24 if version >= SCOPED_FROM else 16 if version >= 4 else 8
    rules = _call(_LANDLOCK_CREATE, attributes, size, 0)
    if rules < 0:
        return False
    try:
        for path in readable:
            _allow_around(rules, path, rights & _READING, [Path(os.path.realpath(folder)) for folder in hidden])
        for path in writable:
            _allow(rules, path, rights)
        for path in listed:
            _allow(rules, path, rights & _READ_DIRECTORY)
        return _prctl(_SET_NO_NEW_PRIVILEGES) and _call(_LANDLOCK_RESTRICT, rules, 0) == 0
    finally:
        os.close(rules)


def _allow_around(rules: int, path: Path, rights: int, hidden: Sequence[Path]) -> None:
    """Allows what lies below a path but for hidden folders: of the folders around these, only the names of files."""
    real = Path(os.path.realpath(path))
    if any(real.is_relative_to(folder) for folder in hidden):
        return
    inside = [folder for folder in hidden if folder.is_relative_to(real)]
    if not inside:
        _allow(rules, path, rights)
        return
    _allow(rules, path, rights & _READ_DIRECTORY)
    for child in real.iterdir():
        if not child.is_symlink():  # it may lead to any place
            _allow_around(rules, child, rights, inside)


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # what is not there needs no permission
        return
    try:
        if not path.is_dir():
            rights &= _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
        _call(_LANDLOCK_ADD, rules, 1, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def filter_calls(local_sockets: bool, is_alone: bool) -> bool:
    """Refuses system calls by seccomp, for this process and its children: sockets, tracing, io_uring, mounting.

    Args:
        local_sockets: Whether UNIX sockets stay allowed. Pairs of connected sockets always are.
        is_alone: Whether no bubblewrap hides other files and processes. Then changes of permissions, owners, times and
            attributes of any file are refused too, and so are System V's shared memory and the limits and priorities
            of other processes: Landlock knows none of them.

    Returns:
        Whether the filter holds; False on an architecture whose call numbers are not listed here.
    """
    architecture = ARCHITECTURES.get(platform.machine())
    if architecture is None or not _prctl(_SET_NO_NEW_PRIVILEGES):
        return False
    program = b"".join(_instructions(architecture, local_sockets, is_alone))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    return _prctl(_SET_SECCOMP, 2, header)


_LOAD, _EQUAL, _ANY_BIT, _AT_LEAST, _END = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _AUDIT, _FIRST, _SECOND = 0, 4, 16, 24
"""Where a filter reads the call's number, the architecture, and the low half of the first two arguments."""
_REFUSE, _REFUSE_SOCKET, _ABSENT, _ALLOW = 0x00050000 | 1, 0x00050000 | 13, 0x00050000 | 38, 0x7FFF0000


def _instructions(architecture: Architecture, local_sockets: bool, is_alone: bool) -> list[bytes]:
    """Returns the filter: other architectures and listed calls fail with EPERM, sockets with EACCES, clone3 as absent.

    Where clone3 is absent, libraries use clone.
    """
    family = socket.AF_UNIX if local_sockets else 0xFFFF
    lines = [(_LOAD, 0, 0, _AUDIT), (_EQUAL, 1, 0, architecture.audit), (_END, 0, 0, _REFUSE), (_LOAD, 0, 0, _NUMBER)]
    lines += [(_AT_LEAST, 0, 1, 0x40000000), (_END, 0, 0, _REFUSE)]  # the x32 calls of x86-64
    numbers = architecture.numbers
    denied = architecture.listed(DENIED)
    if is_alone:
        denied += architecture.listed(DENIED_ALONE)
        lines += _refuse_unless_zero(numbers["setpriority"], _FIRST)
        lines += _refuse_unless_zero(numbers["setpriority"], _SECOND)
        for number in architecture.listed(FOR_ITSELF):
            lines += _refuse_unless_zero(number, _FIRST)
    for number in denied:
        lines += [(_EQUAL, 0, 1, number), (_END, 0, 0, _REFUSE)]
    lines += [(_EQUAL, 0, 1, numbers["clone3"]), (_END, 0, 0, _ABSENT)]
    lines += [(_EQUAL, 0, 4, numbers["clone"]), (_LOAD, 0, 0, _FIRST), (_ANY_BIT, 0, 1, _NEW_NAMESPACES)]
    lines += [(_END, 0, 0, _REFUSE), (_LOAD, 0, 0, _NUMBER)]
    lines += [(_EQUAL, 0, 3, numbers["socket"]), (_LOAD, 0, 0, _FIRST), (_EQUAL, 1, 0, family)]
    lines += [(_END, 0, 0, _REFUSE_SOCKET), (_END, 0, 0, _ALLOW)]
    return [struct.pack("=HBBI", *line) for line in lines]


def _refuse_unless_zero(number: int, argument: int) -> list[tuple[int, int, int, int]]:
    """Returns the lines that refuse a call with EPERM unless an argument is 0; they leave its number loaded."""
    lines = [(_EQUAL, 0, 4, number), (_LOAD, 0, 0, argument), (_EQUAL, 1, 0, 0)]
    return [*lines, (_END, 0, 0, _REFUSE), (_LOAD, 0, 0, _NUMBER)]
