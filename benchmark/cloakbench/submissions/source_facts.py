"""What the source of a protection says about it, read without importing it: for lists, and for quick refusals."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import SubmissionError, UserError
from cloakbench.files import read_regular
from cloakbench.submissions.discovery import Offer
from cloakbench.submissions.package import importable_roots
from cloakbench.submissions.text import clean_line

MOST_SOURCE = 64 << 20
"""Bytes of one module's source."""
HOPS = 5
"""Modules that a class may be imported through."""
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_ARXIV = re.compile(r"arxiv\.org/\w+/(\d\d)\d\d\.\d+")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The facts that a class's source states as constants; empty where it computes them."""

    title: str = ""
    paper: str = ""
    budget: str = ""
    control: str = ""
    year: str = ""
    """Of the paper: the first year in the module's docstring, else from the paper's arXiv address."""
    sentence: str = ""
    """What it does: the first sentence of the docstring, of the module where that names a paper, else of the class."""
    required: tuple[str, ...] = ()
    """Parameters of its constructor without a default: it runs only where they are given."""


@dataclass(frozen=True, slots=True)
class _FoundClass:
    name: str
    """Of the module."""
    path: Path
    module: ast.Module
    definition: ast.ClassDef


def read(offer: Offer) -> SourceFacts:
    """Returns what the source of an offered protection says.

    Nothing of it is imported. Facts are empty where the source cannot be followed, as with compiled modules or classes
    that are made by a call.

    Raises:
        SubmissionError: The entry point cannot work: it names no class, its module does not exist or has a syntax
            error, or the module has no such name.
    """
    module_name, _, class_name = offer.value.partition(":")
    if not class_name:
        raise _refused(offer, "no class", "Write the entry point as package.module:Class.")
    roots = _roots(offer)
    source = None if roots is None else _find_class(offer, roots, module_name, class_name)
    if source is None or roots is None:
        return SourceFacts()
    lineage = _lineage(offer, roots, source)
    constants: dict[str, str] = {}
    for definition in reversed(lineage):
        constants |= _constants(definition)
    about = ast.get_docstring(source.module) or ""
    own = ast.get_docstring(source.definition) or ""
    year = _YEAR.search(about)
    arxiv = _ARXIV.search(constants.get("paper", ""))
    return SourceFacts(
        title=constants.get("title", ""),
        paper=constants.get("paper", ""),
        budget=constants.get("budget", ""),
        control=constants.get("control", ""),
        year=year.group() if year else f"20{arxiv.group(1)}" if arxiv else "",
        sentence=_first_sentence(about if year else own or about),
        required=_required(lineage),
    )


def _roots(offer: Offer) -> dict[str, Path] | None:
    """Returns the folders or single modules that the class may be in, by package; None where they are not found."""
    try:
        roots = importable_roots(offer.distribution)
    except Exception:  # a package may write anything into its metadata
        return None
    return {root.name.removesuffix(".py"): root for root in roots}


def _find_class(offer: Offer, roots: dict[str, Path], module_name: str, class_name: str) -> _FoundClass | None:
    """Returns the class that an entry point names, followed through imports; None where that is not possible."""
    for _ in range(HOPS):
        path = _module_file(offer, roots, module_name)
        if path is None:
            return None
        module = _parsed(offer, path)
        for statement in module.body:
            if isinstance(statement, ast.ClassDef) and statement.name == class_name:
                return _FoundClass(module_name, path, module, statement)
        origin = _imported_from(module, module_name, path, class_name)
        if origin is None:
            if not _may_have(module, class_name):
                raise _refused(offer, f"no {class_name!r} in {path.name}", "Correct the entry point or the class name.")
            return None
        module_name, class_name = origin
    return None


def _module_file(offer: Offer, roots: dict[str, Path], module_name: str) -> Path | None:
    """Returns the file of a module; None for one of another distribution, or one that is not Python source."""
    package, *rest = module_name.split(".")
    root = roots.get(package)
    if root is None:
        if package == offer.value.partition(":")[0].partition(".")[0]:
            raise _refused(offer, f"no module {package!r}", f"Install it again: pip install {offer.distribution}")
        return None
    if root.suffix == ".py" and not rest:
        return root
    location = root.joinpath(*rest)
    for candidate in (location / "__init__.py", location.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    is_compiled = any(location.parent.glob(f"{location.name}.*.so")) or location.is_dir()
    if not is_compiled:
        raise _refused(offer, f"no module {module_name!r}", "Correct the entry point or add the module.")
    return None


def _parsed(offer: Offer, path: Path) -> ast.Module:
    try:
        return ast.parse(read_regular(path, MOST_SOURCE))
    except SyntaxError as error:
        where = f"{path.name}, line {error.lineno}"
        raise _refused(offer, f"a syntax error in {where}: {error.msg}", "Correct the source.") from error
    except (OSError, ValueError, MemoryError, RecursionError) as error:
        got = f"an unreadable {path.name}: {type(error).__name__}: {error}"
        raise _refused(offer, got, "Install it again.") from error


def _imported_from(module: ast.Module, name: str, path: Path, class_name: str) -> tuple[str, str] | None:
    """Returns the module and the name that `class_name` is imported from; None where it is not imported by name."""
    for statement in module.body:
        if not isinstance(statement, ast.ImportFrom):
            continue
        for alias in statement.names:
            if (alias.asname or alias.name) == class_name:
                base = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
                parents = base[: len(base) - statement.level + 1] if statement.level else []
                return ".".join([*parents, *filter(None, [statement.module])]), alias.name
    return None


def _may_have(module: ast.Module, name: str) -> bool:
    """Returns whether a module may define a name in a way that its statements do not show."""
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store):
            return True
        if isinstance(node, ast.ImportFrom | ast.Import) and any(alias.name == "*" for alias in node.names):
            return True
        if isinstance(node, ast.ImportFrom | ast.Import) and any(name == alias.asname for alias in node.names):
            return True
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in (name, "__getattr__"):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("globals", "setattr"):
            return True
    return False


def _lineage(offer: Offer, roots: dict[str, Path], source: _FoundClass) -> list[ast.ClassDef]:
    """Returns a class and those of its first bases whose source is here, itself first."""
    lineage = [source.definition]
    for _ in range(HOPS):
        base = next((base.id for base in source.definition.bases if isinstance(base, ast.Name)), "")
        origin = _imported_from(source.module, source.name, source.path, base) or (source.name, base)
        if not base or origin[0].partition(".")[0] not in roots:
            break
        parent = _find_class(offer, roots, *origin)
        if parent is None or parent.definition is source.definition:
            break
        lineage.append(parent.definition)
        source = parent
    return lineage


def _required(lineage: list[ast.ClassDef]) -> tuple[str, ...]:
    """Returns the parameters without a default of the first constructor that a class or one of its bases writes."""
    for definition in lineage:
        for statement in definition.body:
            if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
                return _without_default(statement.args)
    return ()


def _without_default(arguments: ast.arguments) -> tuple[str, ...]:
    """Returns the names of a method's parameters without a default, `self` left out."""
    positional = [*arguments.posonlyargs, *arguments.args]
    names = [argument.arg for argument in positional[1 : len(positional) - len(arguments.defaults)]]
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if default is None:
            names.append(argument.arg)
    return tuple(names)


def _constants(definition: ast.ClassDef) -> dict[str, str]:
    """Returns the text constants among the class attributes, safe to print."""
    constants = {}
    for statement in definition.body:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        value = statement.value if isinstance(statement, ast.Assign) else None
        if isinstance(statement, ast.AnnAssign):
            targets, value = [statement.target], statement.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            for target in targets:
                if isinstance(target, ast.Name):
                    constants[target.id] = clean_line(value.value)
    return constants


def _first_sentence(docstring: str) -> str:
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    return clean_line(_SENTENCE_END.split(paragraph, maxsplit=1)[0])


def _refused(offer: Offer, got: str, hint: str) -> SubmissionError:
    where = f"{offer.distribution} {offer.version}"
    return SubmissionError(f"expected to import {offer.value!r} of {where}, got {clean_line(got)}", hint)


def problem(offer: Offer) -> str:
    """Returns why an offered protection cannot be loaded, as far as its source shows; empty where nothing is wrong."""
    try:
        read(offer)
    except (SubmissionError, UserError) as error:
        return error.message
    return ""
