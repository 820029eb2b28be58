"""`cloakbench new`: a working package with a simple protection in it, to be replaced by one's own."""

from __future__ import annotations

import keyword
import re
from importlib import resources
from pathlib import Path
from string import Template

from cloakbench.errors import UserError

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
    words = {"name": name, "package": package, "kind": "".join(part.capitalize() for part in name.split("-"))}
    made = []
    for source, target in _FILES.items():
        text = (resources.files("cloakbench.submissions") / "scaffold" / f"{source}.template").read_text()
        path = folder / target.format(package=package)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template(text).substitute(words))
        made.append(path)
    return made
