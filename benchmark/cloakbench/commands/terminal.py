"""What all verbs share: early refusals, and printing that any terminal can show."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from cloakbench.errors import UserError
from cloakbench.printable import clean, encodable

if TYPE_CHECKING:
    from cloakbench_leaderboards.board.summary import Summary

T = TypeVar("T")
PYIQA_LICENCE = "pyiqa, which computes the metrics that name it, is for non-commercial use only."
HEADS = {
    "max_255": "largest change (of 255)",
    "mean_255": "mean change (of 255)",
    "n": "images",
}
"""Heads of columns, with units, where the name of the field does not say it."""
LONGEST_NUMBER = 8
"""Characters of a number in a table; a longer one is rounded. JSON has all digits."""
FAULTS = 2
"""Exit code where faults were found or a cell failed; 1 means a regression and nothing else."""


class CleanedStream(io.TextIOBase):
    """A text stream that escapes control characters and what the encoding of the stream behind it lacks."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream behind."""
        return self._stream.encoding

    def write(self, text: str) -> int:
        """Writes the cleaned text and returns the length of what was asked for."""
        self._stream.write(encodable(clean(text), self._stream.encoding))
        return len(text)

    def flush(self) -> None:
        """Flushes the stream behind."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Returns whether the stream behind is a terminal."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Returns the file descriptor of the stream behind."""
        return self._stream.fileno()


class _Warnings(logging.Handler):
    """Prints warnings of the library on standard error, each text once."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the record's text unless it was printed before."""
        text = record.getMessage()
        if text not in self._printed:
            self._printed.add(text)
            print_error(text)


@contextlib.contextmanager
def cleaned_output() -> Iterator[None]:
    """Cleans what is printed to standard output, and prints the library's warnings on standard error."""
    handler, logger = _Warnings(), logging.getLogger("cloakbench")
    logger.addHandler(handler)
    try:
        with contextlib.redirect_stdout(CleanedStream(sys.stdout)):
            yield
            sys.stdout.flush()
    finally:
        logger.removeHandler(handler)


def refuse_unknown(protections: Iterable[str]) -> None:
    """Raises the error for a protection that is unknown or cannot be loaded, before the models' libraries are loaded.

    Raises:
        UserError: A spelling is wrong, or no protection of the name is installed.
        SubmissionError: The source shows that the protection cannot be loaded.
    """
    from cloakbench import submissions
    from cloakbench.submissions import source_facts

    for spelling in protections:
        source_facts.read(submissions.find(submissions.parse(spelling).name))


def require_source(source: Path) -> None:
    """Raises UserError where a folder or archive of records does not exist, before the models' libraries are loaded."""
    if not source.exists():
        raise UserError(
            f"expected a store, a folder of reference records or an archive, got {source}: no such file or folder",
            "Correct the path.",
        )


def open_source(source: Path) -> AbstractContextManager[Path]:
    """Returns a context with the folder of a source: itself, or what an archive of `cloakbench submit` holds."""
    if not source.is_file():
        return contextlib.nullcontext(source)
    from cloakbench.upkeep.archive import opened

    return opened(source)


def print_error(text: str) -> None:
    """Prints text of any origin on standard error."""
    print(encodable(clean(text), sys.stderr.encoding), file=sys.stderr)


def print_rows(rows: Sequence[Any], as_json: bool) -> None:
    """Prints dataclasses as a table with a head, or as a JSON list of objects."""
    objects = [dataclasses.asdict(row) for row in rows]
    if as_json:
        print(json.dumps(objects, indent=1, sort_keys=True))
    elif objects:
        heads = [HEADS.get(name, name.replace("_", " ")) for name in objects[0]]
        print_table(heads, [list(item.values()) for item in objects])


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints a table: words to the left, numbers to the right, each column as wide as its widest cell."""
    lines = [list(heads)]
    is_number = [True] * len(heads)
    for row in rows:
        lines.append([_one_line(value) for value in row])
        for position, value in enumerate(row):
            is_number[position] &= isinstance(value, int | float)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = []
        for text, width, is_right in zip(line, widths, is_number, strict=True):
            cells.append(text.rjust(width) if is_right else text.ljust(width))
        print("  ".join(cells).rstrip())


def print_summary(store: Path, suite: str) -> None:
    """Prints the leaderboard of a store in a few lines; nothing where it has no records of the suite."""
    from cloakbench.store.reading import load
    from cloakbench_leaderboards.board.summary import summary
    from cloakbench_leaderboards.scores.evidence import gather

    try:
        loaded = load(store, suite)
    except UserError:
        return
    print_evidence(summary(gather(loaded)))


def print_evidence(lines: Summary) -> None:
    """Prints the table of a leaderboard with its notes."""
    print_table(lines.heads, lines.rows)
    for note in lines.notes:
        print(note)


def print_values(values: Mapping[str, object], as_json: bool) -> int:
    """Prints named values on one line, or as a JSON object; returns 0, the code of a verb that is done."""
    print(json.dumps(values, sort_keys=True) if as_json else ", ".join(f"{k}: {v}" for k, v in values.items()))
    return 0


def print_sentences(results: Sequence[T], to_text: Callable[[T], str], as_json: bool) -> int:
    """Prints a sentence per dataclass, or all as a JSON list in which what is no number is null; returns 0."""
    if as_json:
        objects = [_finite(dataclasses.asdict(result)) for result in results]  # type: ignore[call-overload]
        print(json.dumps(objects, sort_keys=True, indent=1))
        return 0
    for result in results:
        print(to_text(result))
    return 0


def _one_line(value: object) -> str:
    """Returns a value of a table: in one line, a number to six digits."""
    words = str(value)
    if isinstance(value, float) and len(words) > LONGEST_NUMBER:
        return f"{value:.6g}"
    return words.replace("\n", "\\n")


def _finite(value: Any) -> Any:
    """Returns a JSON value with None for what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
