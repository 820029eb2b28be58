"""Imports of a submission's code from its source alone, never from the compiled files beside it.

A package's digest leaves `__pycache__` out, because installing and importing write it. Python would run a compiled file
from there in place of the source that the digest counts, where the file claims to belong to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType


class SourceOnlyLoader(SourceFileLoader):
    """Compiles a module's source at every import."""

    def get_code(self, fullname: str) -> CodeType:
        """Returns the code of the module's source."""
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


class SourceOnlyFinder(MetaPathFinder):
    """Finds modules as Python does, those of some top-level packages with a loader that reads sources alone."""

    def __init__(self, packages: Iterable[str]) -> None:
        self._packages = frozenset(packages)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the specification of a module of the packages, None for any other."""
        if fullname.partition(".")[0] not in self._packages:
            return None
        spec = _usual(fullname, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = SourceOnlyLoader(fullname, spec.loader.path)
            spec.cached = None
        return spec


def _usual(fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    spec = PathFinder.find_spec(fullname, path, target)
    for finder in sys.meta_path if spec is None else ():  # an editable install brings a finder of its own
        if not isinstance(finder, SourceOnlyFinder) and spec is None:
            spec = finder.find_spec(fullname, path, target)
    return spec


def read_sources_only(packages: Iterable[str]) -> None:
    """Makes every later import of the packages read their sources alone."""
    sys.meta_path.insert(0, SourceOnlyFinder(packages))
