"""The filter of system calls, on both architectures: its numbers are the kernel's, and it refuses what it should."""

from __future__ import annotations

import errno
import re
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

import pytest

from cloakbench.submissions.sandbox import kernel, system_calls
from cloakbench.submissions.sandbox.system_calls import ARCHITECTURES, DENIED, DENIED_ALONE, FOR_ITSELF

HEADERS = {"x86_64": "**/asm/unistd_64.h", "aarch64": "asm-generic/unistd.h"}
"""Where Debian's linux-libc-dev, Fedora's kernel-headers and others put the kernel's numbers, below /usr/include."""
ALLOWED = 0x7FFF0000
EVERY_NUMBER = range(600)


def kernel_numbers(architecture: str) -> dict[str, int]:
    """Returns the numbers in the machine's own copy of the kernel's header; empty where it has none."""
    numbers = {}
    for path in Path("/usr/include").glob(HEADERS[architecture]):
        for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", path.read_text()):
            numbers[name] = int(number)
    return numbers


@pytest.mark.parametrize("architecture", HEADERS)
def test_the_numbers_are_those_of_the_kernels_header(architecture: str) -> None:
    expected = kernel_numbers(architecture)
    if len(expected) < 250:
        pytest.skip("no header of the kernel for this architecture: apt-get install linux-libc-dev")
    listed = ARCHITECTURES[architecture].numbers
    newest = max(number for name, number in expected.items() if name not in ("syscalls", "arch_specific_syscall"))
    for name, number in listed.items():
        assert expected.get(name) == number or (name not in expected and number > newest), name
    absent = {*DENIED, *DENIED_ALONE, *FOR_ITSELF} - listed.keys()
    assert not absent & expected.keys()


def test_every_call_that_is_refused_has_a_number() -> None:
    named = {*DENIED, *DENIED_ALONE, *FOR_ITSELF}
    assert named <= system_calls._NUMBERS.keys()
    assert named <= ARCHITECTURES["x86_64"].numbers.keys()
    older = {"chmod", "chown", "lchown", "utime", "utimes", "futimesat"}  # aarch64 has only their successors
    assert named - ARCHITECTURES["aarch64"].numbers.keys() == older


def decide(program: list[bytes], call: Mapping[int, int]) -> int:
    """Returns what a filter says to a call, as the kernel would compute it.

    Args:
        program: Instructions of classic BPF, eight bytes each.
        call: The 32-bit values of `struct seccomp_data` by their offset; absent ones are 0.
    """
    position = loaded = 0
    while True:
        code, if_true, if_false, value = struct.unpack("=HBBI", program[position])
        position += 1
        if code == kernel._END:
            return value
        if code == kernel._LOAD:
            loaded = call.get(value, 0)
            continue
        is_true = {kernel._EQUAL: loaded == value, kernel._AT_LEAST: loaded >= value, kernel._ANY_BIT: loaded & value}
        position += if_true if is_true[code] else if_false


def error_of(architecture: str, number: int, first: int = 0, second: int = 0, is_alone: bool = True) -> int:
    """Returns the error with which the filter refuses a call, 0 where it allows it."""
    program = kernel._instructions(ARCHITECTURES[architecture], local_sockets=False, is_alone=is_alone)
    audit = ARCHITECTURES[architecture].audit
    decision = decide(program, {0: number, 4: audit, 16: first, 24: second})
    return 0 if decision == ALLOWED else decision & 0xFFFF


@pytest.mark.finding("A11", "A17", "A18", "D19", "D20", "D21")
@pytest.mark.parametrize("is_alone", [True, False])
@pytest.mark.parametrize("architecture", HEADERS)
def test_the_filter_refuses_the_listed_calls_and_no_others(architecture: str, is_alone: bool) -> None:
    calls = ARCHITECTURES[architecture]
    denied = {*calls.listed(DENIED), *(calls.listed(DENIED_ALONE) if is_alone else [])}
    program = kernel._instructions(calls, local_sockets=False, is_alone=is_alone)
    refused = {}
    for number in EVERY_NUMBER:
        decision = decide(program, {0: number, 4: calls.audit})
        if decision != ALLOWED:
            refused[number] = decision & 0xFFFF
    others = {calls.numbers["clone3"]: errno.ENOSYS, calls.numbers["socket"]: errno.EACCES}
    assert refused == {**dict.fromkeys(denied, errno.EPERM), **others}


@pytest.mark.parametrize("architecture", HEADERS)
def test_calls_on_other_processes_new_namespaces_and_networks_are_refused(architecture: str) -> None:
    numbers = ARCHITECTURES[architecture].numbers
    for name in FOR_ITSELF:
        assert error_of(architecture, numbers[name], first=0) == 0
        assert error_of(architecture, numbers[name], first=4711) == errno.EPERM
        assert error_of(architecture, numbers[name], first=4711, is_alone=False) == 0
    for first, second in ((0, 4711), (1, 0), (2, 1000)):
        assert error_of(architecture, numbers["setpriority"], first, second) == errno.EPERM
    assert error_of(architecture, numbers["setpriority"]) == 0
    for flag in (0x20000, 0x02000000, 0x10000000, 0x20000000, 0x40000000):
        assert error_of(architecture, numbers["clone"], first=flag | 17) == errno.EPERM
    assert error_of(architecture, numbers["clone"], first=0x3D0F00) == 0  # a thread
    for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_UNIX):
        assert error_of(architecture, numbers["socket"], first=family) == errno.EACCES


@pytest.mark.parametrize("architecture", HEADERS)
def test_calls_in_the_manner_of_another_architecture_are_refused(architecture: str) -> None:
    calls = ARCHITECTURES[architecture]
    program = kernel._instructions(calls, local_sockets=True, is_alone=False)
    for audit in (0x40000003, 0x40000028, *(other.audit for other in ARCHITECTURES.values() if other is not calls)):
        assert decide(program, {0: 0, 4: audit}) & 0xFFFF == errno.EPERM
    assert decide(program, {0: 0x40000000 | 41, 4: calls.audit}) & 0xFFFF == errno.EPERM
    assert decide(program, {0: calls.numbers["socket"], 4: calls.audit, 16: socket.AF_UNIX}) == ALLOWED
