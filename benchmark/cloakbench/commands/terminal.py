"""What all verbs share: options, and printing that any terminal can show."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar

from cyclopts import Parameter

from cloakbench.printable import clean, encodable

T = TypeVar("T")
Many = Annotated[list[str], Parameter(consume_multiple=True, negative="")]
Flag = Annotated[bool, Parameter(negative="")]
StoreFolder = Annotated[
    Path | None,
    Parameter(
        name="--store",
        help="Folder of records: a store or a reference folder; ./results or $CLOAKBENCH_STORE by default.",
    ),
]
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


def print_error(text: str) -> None:
    """Prints text of any origin on standard error."""
    print(encodable(clean(text), sys.stderr.encoding), file=sys.stderr)


def print_rows(rows: Sequence[Any], as_json: bool) -> None:
    """Prints dataclasses as aligned columns, or as a JSON list of objects."""
    objects = [dataclasses.asdict(row) for row in rows]
    if as_json:
        print(json.dumps(objects, indent=1, sort_keys=True))
        return
    lines = [[_one_line(value) for value in item.values()] for item in objects]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())


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
    return str(value).replace("\n", "\\n")


def _finite(value: Any) -> Any:
    """Returns a JSON value with None for what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list | tuple) else value
