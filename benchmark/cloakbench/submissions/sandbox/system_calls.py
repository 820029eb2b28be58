"""Numbers of the system calls that the sandbox restricts, by the kernel's names, on two architectures.

From the kernel's `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h`, which aarch64 uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

DENIED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "bpf", "perf_event_open", "add_key",
    "request_key", "keyctl", "unshare", "setns", "mount", "umount2", "pivot_root", "open_tree", "move_mount",
    "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_tree_attr", "io_uring_setup",
    "io_uring_enter", "io_uring_register",
    "syslog",
)  # fmt: skip
"""Tracing and reading other processes, the kernel's programs and keys, namespaces, mounts, io_uring, whose requests
pass by a filter, and the kernel's log."""
DENIED_ALONE = (
    "shmget", "shmat", "shmctl", "shmdt", "semget", "semop", "semctl", "semtimedop", "msgget", "msgsnd", "msgrcv",
    "msgctl", "mq_open", "mq_unlink", "chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown",
    "fchownat", "utime", "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr", "setxattrat",
    "removexattr", "lremovexattr", "fremovexattr", "removexattrat", "file_setattr", "ioprio_set",
)  # fmt: skip
"""What Landlock leaves open: queues, semaphores and memory that processes share by number (System V) or by name;
changes of permissions, owners, times and attributes; priorities of disks."""
FOR_ITSELF = ("prlimit64", "sched_setaffinity", "sched_setscheduler", "sched_setparam", "sched_setattr")
"""Calls whose first argument is a process, 0 for the caller."""


class _Numbers(NamedTuple):
    x86_64: int | None
    aarch64: int | None
    """None where the architecture has no such call."""


_NUMBERS = {
    "ptrace": _Numbers(101, 117),
    "process_vm_readv": _Numbers(310, 270),
    "process_vm_writev": _Numbers(311, 271),
    "pidfd_getfd": _Numbers(438, 438),
    "bpf": _Numbers(321, 280),
    "perf_event_open": _Numbers(298, 241),
    "add_key": _Numbers(248, 217),
    "request_key": _Numbers(249, 218),
    "keyctl": _Numbers(250, 219),
    "unshare": _Numbers(272, 97),
    "setns": _Numbers(308, 268),
    "mount": _Numbers(165, 40),
    "umount2": _Numbers(166, 39),
    "pivot_root": _Numbers(155, 41),
    "open_tree": _Numbers(428, 428),
    "move_mount": _Numbers(429, 429),
    "fsopen": _Numbers(430, 430),
    "fsconfig": _Numbers(431, 431),
    "fsmount": _Numbers(432, 432),
    "fspick": _Numbers(433, 433),
    "mount_setattr": _Numbers(442, 442),
    "open_tree_attr": _Numbers(467, 467),
    "io_uring_setup": _Numbers(425, 425),
    "io_uring_enter": _Numbers(426, 426),
    "io_uring_register": _Numbers(427, 427),
    "shmget": _Numbers(29, 194),
    "shmat": _Numbers(30, 196),
    "shmctl": _Numbers(31, 195),
    "shmdt": _Numbers(67, 197),
    "semget": _Numbers(64, 190),
    "semop": _Numbers(65, 193),
    "semctl": _Numbers(66, 191),
    "semtimedop": _Numbers(220, 192),
    "msgget": _Numbers(68, 186),
    "msgsnd": _Numbers(69, 189),
    "msgrcv": _Numbers(70, 188),
    "msgctl": _Numbers(71, 187),
    "mq_open": _Numbers(240, 180),
    "mq_unlink": _Numbers(241, 181),
    "chmod": _Numbers(90, None),
    "fchmod": _Numbers(91, 52),
    "fchmodat": _Numbers(268, 53),
    "fchmodat2": _Numbers(452, 452),
    "chown": _Numbers(92, None),
    "fchown": _Numbers(93, 55),
    "lchown": _Numbers(94, None),
    "fchownat": _Numbers(260, 54),
    "utime": _Numbers(132, None),
    "utimes": _Numbers(235, None),
    "futimesat": _Numbers(261, None),
    "utimensat": _Numbers(280, 88),
    "setxattr": _Numbers(188, 5),
    "lsetxattr": _Numbers(189, 6),
    "fsetxattr": _Numbers(190, 7),
    "setxattrat": _Numbers(463, 463),
    "removexattr": _Numbers(197, 14),
    "lremovexattr": _Numbers(198, 15),
    "fremovexattr": _Numbers(199, 16),
    "removexattrat": _Numbers(466, 466),
    "file_setattr": _Numbers(469, 469),
    "ioprio_set": _Numbers(251, 30),
    "prlimit64": _Numbers(302, 261),
    "sched_setaffinity": _Numbers(203, 122),
    "sched_setscheduler": _Numbers(144, 119),
    "sched_setparam": _Numbers(142, 118),
    "sched_setattr": _Numbers(314, 274),
    "setpriority": _Numbers(141, 140),
    "syslog": _Numbers(103, 116),
    "socket": _Numbers(41, 198),
    "clone": _Numbers(56, 220),
    "clone3": _Numbers(435, 435),
    "capset": _Numbers(126, 91),
    "landlock_create_ruleset": _Numbers(444, 444),
    "landlock_add_rule": _Numbers(445, 445),
    "landlock_restrict_self": _Numbers(446, 446),
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """The system calls of one kind of processor.

    Attributes:
        audit: The architecture as seccomp names it (`AUDIT_ARCH_...`).
        numbers: The number of each call that it has, by name.
    """

    audit: int
    numbers: Mapping[str, int]

    def listed(self, names: Sequence[str]) -> list[int]:
        """Returns the numbers of those of the calls that this architecture has."""
        return [self.numbers[name] for name in names if name in self.numbers]


def _numbers(architecture: str) -> Iterator[tuple[str, int]]:
    for name, numbers in _NUMBERS.items():
        number: int | None = getattr(numbers, architecture)
        if number is not None:
            yield name, number


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, dict(_numbers("x86_64"))),
    "aarch64": Architecture(0xC00000B7, dict(_numbers("aarch64"))),
}
"""By the name that `platform.machine()` gives."""
