"""`cloakbench new`: a working package with a simple protection or attack in it, to be replaced by one's own."""

from __future__ import annotations

import keyword
import re
import sys
from importlib import metadata, resources, util
from pathlib import Path
from string import Template

from cloakbench.errors import UserError
from cloakbench.submissions import discovery
from cloakbench.submissions.discovery import EntryKind

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "__init__.py": "{package}/__init__.py",
    "{module}.py": "{package}/{module}.py",
    "test_{module}.py": "tests/test_{module}.py",
}
_MODULES = {EntryKind.PROTECTION: "cloak", EntryKind.COUNTERMEASURE: "countermeasure", EntryKind.MIMICRY: "mimicry"}
_COMMANDS = {
    EntryKind.PROTECTION: (
        "    cloakbench check $name",
        "    cloakbench run mini-quick --protection $name",
        "    cloakbench board mini-quick",
    ),
    EntryKind.COUNTERMEASURE: ("    cloakbench check $name --kind countermeasure",),
    EntryKind.MIMICRY: ("    cloakbench check $name --kind mimicry",),
}
"""What the README says to do."""


def start(name: str, parent: Path, kind: EntryKind = EntryKind.PROTECTION) -> list[Path]:
    """Writes the package `parent/name` and returns its files; raises UserError for a bad name or an existing folder."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise UserError(f"expected a name such as my-cloak (a-z, 0-9, single hyphens), got {name!r}", "Choose another.")
    folder = parent / name
    if folder.exists():
        raise UserError(f"expected a folder that does not exist yet, got {folder}", "Choose another name or --out.")
    package = name.replace("-", "_")
    _check_free(name, package)
    module = _MODULES[kind]
    words = {
        "name": name,
        "package": package,
        "module": module,
        "kind": "".join(part.capitalize() for part in name.split("-")),
        "group": kind.group,
        "commands": Template("\n".join(_COMMANDS[kind])).substitute(name=name),
    }
    written = []
    for source, target in _FILES.items():
        template = f"{source.format(module=module)}.template"
        text = (resources.files("cloakbench.submissions") / "scaffold" / template).read_text(encoding="utf-8")
        path = folder / target.format(package=package, module=module)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(words), encoding="utf-8")
        written.append(path)
    return written


def _check_free(name: str, package: str) -> None:
    """Raises UserError where an installed protection, distribution or module has the name already."""
    for kind in EntryKind:
        if name in discovery.discover(kind=kind).names:
            raise UserError(f"expected a new name, got {name!r}, an installed {kind}", "Choose another.")
    if any(metadata.Distribution.discover(name=name)):
        raise UserError(f"expected a new name, got {name!r}, an installed distribution", "Choose another.")
    if package in sys.stdlib_module_names or util.find_spec(package) is not None:
        raise UserError(f"expected a new name, got {name!r}, a module that can be imported", "Choose another.")
