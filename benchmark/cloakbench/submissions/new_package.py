"""`cloakbench new`: a working package with a simple protection in it, to be replaced by one's own."""

from __future__ import annotations

import keyword
import re
import sys
from importlib import metadata, resources, util
from pathlib import Path
from string import Template

from cloakbench.errors import UserError
from cloakbench.submissions import discovery

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "__init__.py": "{package}/__init__.py",
    "cloak.py": "{package}/cloak.py",
    "test_cloak.py": "tests/test_cloak.py",
}


def start(name: str, parent: Path) -> list[Path]:
    """Writes the package `parent/name` and returns its files; raises UserError for a bad name or an existing folder."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UserError(f"expected a name such as my-cloak (a-z, 0-9, single hyphens), got {name!r}", "Choose another.")
    folder = parent / name
    if folder.exists():
        raise UserError(f"expected a folder that does not exist yet, got {folder}", "Choose another name or --out.")
    package = name.replace("-", "_")
    _check_free(name, package)
    words = {"name": name, "package": package, "kind": "".join(part.capitalize() for part in name.split("-"))}
    written = []
    for source, target in _FILES.items():
        text = (resources.files("cloakbench.submissions") / "scaffold" / f"{source}.template").read_text(
            encoding="utf-8"
        )
        path = folder / target.format(package=package)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(words), encoding="utf-8")
        written.append(path)
    return written


def _check_free(name: str, package: str) -> None:
    """Raises UserError where an installed protection, distribution or module has the name already."""
    if name in discovery.discover().names:
        raise UserError(f"expected a name of its own, got {name!r}, an installed protection", "Choose another.")
    if any(metadata.Distribution.discover(name=name)):
        raise UserError(f"expected a name of its own, got {name!r}, an installed distribution", "Choose another.")
    if package in sys.stdlib_module_names or util.find_spec(package) is not None:
        raise UserError(f"expected a name of its own, got {name!r}, a module that can be imported", "Choose another.")
