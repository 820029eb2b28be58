"""What red teams tried against the project, in plain words, and how each attempt has to end in each isolation.

Tests name the attempts that they repeat by `@pytest.mark.finding(...)`; `test_findings.py` holds both together.

`landlock` is a process without bubblewrap on a kernel with Landlock and seccomp, `plain` one on a kernel without them:
there a submission does what its user may. Attempts on records, archives and the command line meet no isolation.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Outcome(StrEnum):
    """How an attempt ends."""

    HELD = "held"
    """Refused, or counted against the entry, in words."""
    PASSES = "gets through"
    """It succeeds, and SECURITY.md says that it does."""


class Finding(NamedTuple):
    """An attempt, and how it ends."""

    attempt: str
    bubblewrap: Outcome = Outcome.HELD
    landlock: Outcome = Outcome.HELD
    plain: Outcome = Outcome.HELD


def _kernel(attempt: str) -> Finding:
    """Returns an attempt that only the kernel can refuse."""
    return Finding(attempt, plain=Outcome.PASSES)


FINDINGS = {
    "A1": Finding("a pipe in place of a protected image, so that the harness waits for ever"),
    "A2": Finding("answers byte by byte, or without end, while no limit is looked at"),
    "A3": Finding("answers of another shape, and faults of a kind that ends or excuses a run"),
    "A4": Finding("a link, placed by a child that stays, where the harness writes the next original"),
    "A5": Finding("a link in place of the next call's folder"),
    "A6": Finding("a link in place of the folder of protected images, which leads to hidden files"),
    "A7": Finding("a protected image in a format whose decoder runs programs"),
    "A8": Finding("a protected image whose metadata turn it"),
    "A9": _kernel("a note for the next entry in shared memory"),
    "A10": _kernel("a UNIX socket of the host"),
    "A11": _kernel("networks, devices, namespaces and mounts"),
    "A12": _kernel("the home folder and files that nobody has hidden"),
    "A13": Finding("messages and tracebacks of many megabytes"),
    "A14": Finding("numbers of thousands of digits, lists in place of objects, lone surrogates"),
    "A15": Finding("one budget for the question and another for the run"),
    "A16": Finding("an error text that no file can hold"),
    "A17": _kernel("the audit hook switched off or passed by: programs, native code, datagrams"),
    "A18": Finding("the memory and environment of the harness"),
    "A19": Finding("output whose methods raise when it is checked"),
    "A20": Finding("a package whose code runs while its digest is taken"),
    "A21": Finding("code that changes while the digest stays"),
    "A22": Finding("a process that leaves its session, its parent and its environment and stays"),
    "A23": Finding("escape sequences and changes of direction for the terminal"),
    "A24": Finding("characters that the terminal's encoding lacks"),
    "B1": Finding("keys and environment classes that are paths"),
    "B2": Finding("numbers that are not finite"),
    "B3": Finding("one cell with two results in one source"),
    "B4": Finding("a link in a stranger's folder to a private file"),
    "B5": Finding("merged records that the maintainer then signs, and that occupy cells of a run"),
    "B6": Finding("values that the images beside them do not give"),
    "B7": Finding("an archive whose compressed data are damaged"),
    "B8": Finding("small files that decode to gigabytes"),
    "B9": Finding("lines that are truncated, nested, marked or no text; revoked keys; damaged records to rescore"),
    "C1": Finding("a reader of the output that leaves after the first line"),
    "C2": Finding("a closed standard input"),
    "C3": Finding("a closed standard output"),
    "C4": Finding("no home folder"),
    "C5": Finding("a limit on the size of files, and paths with spaces and letters of all scripts"),
    "C6": Finding("a umask that lets nobody else read"),
    "C7": Finding("two processes that take records into one store at once"),
    "C8": Finding("a process that is killed while it takes records in"),
    "D1": _kernel("a program that reads a hidden folder inside a visible one: the artist's clean images"),
    "D2": Finding("a pipe in place of a record, in a folder that is verified, merged, adopted or shown"),
    "D3": Finding("a package whose module is a pipe, so that its digest is never finished"),
    "D4": Finding("an answer that says that it cost nothing"),
    "D5": Finding("an attack that returns images of the artist that its package has brought along"),
    "D6": Finding("an attack of another geometry, or with another number of images"),
    "D7": Finding("a suite whose prompts ask for a text of any length"),
    "D8": Finding("a suite that asks for billions of images, or for strengths without end"),
    "D9": Finding("finite values so large that their squares are not, which end everybody's board"),
    "D10": Finding("records of an easier attack under the name of the suite's"),
    "D11": Finding("an attack on images that are hardly protected, reported against a rival"),
    "D12": Finding("forged repetitions, pictures and histories beside records that ran here"),
    "D13": Finding("a suite under a known name in which another direction is better"),
    "D14": Finding("a newer version of a rival's entry, which would replace what ran here"),
    "D15": Finding("features of another shape than their network gives"),
    "D16": Finding("an attack's archive with values that its generations do not give, or with references as these"),
    "D17": Finding("an attack that remembers the clean images which its own clean arm has shown it"),
    "D18": Finding("a record whose entry looks into a model that is fetched, or into a folder of this machine"),
    "D19": _kernel("a note for the next entry in memory or a queue of System V"),
    "D20": _kernel("permissions, owners, times and attributes of files outside"),
    "D21": _kernel("lower limits, another priority or another core for the harness"),
    "D22": Finding(
        "a folder that looks like an interrupted merge, with links to or on the way to the maintainer's files"
    ),
    "D23": Finding("a hard link to a private file, whose bytes a merge or an export would copy"),
    "D24": Finding("a file of terabytes without content in place of records"),
    "D25": Finding("a link, or another file, in place of a picture that a page would copy"),
    "D26": Finding("an environment whose start-up files, metadata or links name folders outside, which it would see"),
    "D27": Finding("a link among the folders of a store, so that gc removes what lies elsewhere"),
    "D28": Finding("an attack's record, or a suite's words, which end everybody's board or reorder its text"),
    "D29": Finding("a store with links or pipes, into which a maintainer runs, merges, adopts, signs or cleans up"),
    "D30": _kernel(
        "start-up files or a cloakbench of an environment's own, which run before the worker restricts itself"
    ),
    "D31": Finding("a start-up file that takes over the process which ends what a submission leaves behind"),
    "D32": _kernel("a submission that ends its supervisor, so that what it leaves behind has no parent"),
    "D33": Finding("a pipe, an endless device or terabytes in place of an environment's metadata or source"),
    "D34": Finding("numbers of more digits, moments out of range and names given twice in a record"),
    "D35": Finding("names of files that are no text, or that a terminal would obey"),
    "D36": Finding("a store that is merged into itself, or that lies in the one it is merged into"),
    "D37": Finding("an archive whose list leads to the content of another file, or to none"),
}
