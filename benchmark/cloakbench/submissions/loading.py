"""Loading one protection by its name: the only place that imports a submission's code."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cloakbench.contract import Countermeasure, Entry, Mimicry, Protection
from cloakbench.errors import BenchmarkError, SubmissionError, UserError
from cloakbench.schemas.fields import Identifier
from cloakbench.schemas.kinds import BudgetKind, Role
from cloakbench.schemas.record import ProtectionFacts
from cloakbench.submissions import environments, needs
from cloakbench.submissions.discovery import EntryKind, Offer, Provider, find
from cloakbench.submissions.naming import Parameter, canonical, normalised, parse
from cloakbench.submissions.package import package_digest
from cloakbench.submissions.text import clean_line

CONTROLS = "cloakbench-controls"
"""The distribution whose protections may be controls; elsewhere the claim is ignored."""
LONGEST = 300
"""Characters of a title, an address or a licence."""
ShortText = Annotated[str, Field(max_length=LONGEST), AfterValidator(clean_line)]
Knowledge = Literal["oblivious", "tool", "pairs"]
KNOWLEDGE: tuple[Knowledge, ...] = ("oblivious", "tool", "pairs")
CONTRACTS: dict[EntryKind, tuple[type[Entry], str]] = {
    EntryKind.PROTECTION: (Protection, "protect(self, images, request)"),
    EntryKind.COUNTERMEASURE: (Countermeasure, "clean(self, images, request)"),
    EntryKind.MIMICRY: (Mimicry, "imitate(self, images, request)"),
}
"""The class that each kind of entry derives from, and the method that it writes."""
AnyEntry = TypeVar("AnyEntry", bound=Entry)


def _check_needs(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if not needs.is_valid(value):
            raise ValueError(f"expected a need such as surrogate, mask or vram:24, got {value!r}")
    return values


FamilyDefaults = Annotated[dict[Identifier, bool | int | float | ShortText], Field(max_length=50)]


class Claims(BaseModel):
    """What a protection's class says about itself, asked once; the harness believes none of it that it can measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    budget: BudgetKind
    needs: Annotated[tuple[ShortText, ...], Field(max_length=20), AfterValidator(_check_needs)]
    surrogates: Annotated[tuple[ShortText, ...], Field(max_length=100)] | None = None
    """Aliases of the models that it is prepared for; None: any."""
    preparation: ShortText = ""
    """Command that prepares it for another one, with `{model}` for the alias."""
    title: ShortText
    paper: ShortText
    paper_title: ShortText = ""
    authors: ShortText = ""
    licence: ShortText
    contact: ShortText = ""
    deterministic: bool
    defaults: Annotated[dict[Identifier, FamilyDefaults], Field(max_length=10)] = {}
    """Parameters that depend on the surrogate and that the user did not give, by family of the surrogate."""
    control: ShortText | None
    """Which control it wants to be; counts for the project's own distribution only."""
    knowledge: Knowledge | None = None
    """What the author of an attack knew; None for a protection."""


@dataclass(frozen=True, slots=True)
class LoadedEntry(Generic[AnyEntry]):
    """A protection or attack ready to run, with where it came from."""

    offer: Offer
    parameters: Mapping[str, Parameter]
    instance: AnyEntry
    package_digest: str

    @property
    def identity(self) -> str:
        """Canonical spelling: name and parameters."""
        return canonical(self.offer.name, self.parameters)

    def claims(self) -> Claims:
        """Returns what the class says about itself; raises SubmissionError where it is not valid."""
        kind: Any = type(self.instance)
        control = getattr(kind, "control", None)
        try:
            return Claims(
                budget=BudgetKind(getattr(kind, "budget", BudgetKind.READY_MADE)),
                needs=tuple(sorted(self.instance.needs)),
                surrogates=None if kind.surrogates is None else tuple(sorted(kind.surrogates)),
                preparation=clean_line(kind.preparation, LONGEST),
                title=clean_line(kind.title, LONGEST),
                paper=clean_line(kind.paper, LONGEST),
                paper_title=clean_line(kind.paper_title, LONGEST),
                authors=clean_line(kind.authors, LONGEST),
                licence=clean_line(kind.licence, LONGEST),
                contact=clean_line(kind.contact, LONGEST),
                deterministic=kind.deterministic,
                defaults=_without(self.instance.defaults, self.parameters),
                control=control if isinstance(control, str) else None,
                knowledge=getattr(kind, "knowledge", None),
            )
        except (ValueError, TypeError, AttributeError) as error:  # they may differ from one look to the next
            raise _invalid_claims(self.offer, error) from error

    def facts(self) -> ProtectionFacts:
        """Returns what records and pages say about it."""
        return facts(self.offer, self.parameters, self.package_digest, self.claims())


def _without(
    defaults: Mapping[str, Mapping[str, Parameter]], parameters: Mapping[str, Parameter]
) -> dict[str, dict[str, Parameter]]:
    """Returns the defaults by family without those of the given parameters."""
    remaining = {}
    for family, values in defaults.items():
        remaining[family] = {name: value for name, value in values.items() if name not in parameters}
    return remaining


def load(spelling: str, provider: Provider | None = None) -> LoadedEntry[Protection]:
    """Returns the protection that a spelling such as `photoguard[steps=50]` names; raises as `load_entry`."""
    return load_entry(spelling, EntryKind.PROTECTION, provider)


def load_entry(spelling: str, kind: EntryKind, provider: Provider | None = None) -> LoadedEntry[Any]:
    """Returns the protection or attack that a spelling names.

    Raises:
        UserError: The spelling, the name or a parameter is wrong.
        SubmissionError: The submission's code can't be imported, is no entry of that kind, or fails to start.
    """
    variant = parse(spelling)
    offer = find(variant.name, provider, kind)
    own = environments.folder(offer.distribution) if provider is None else None
    if own is not None:
        raise UserError(
            f"expected a {kind} installed beside cloakbench, got {variant.name!r} with the environment {own}",
            f"Call the cloakbench in it: {own / 'bin' / 'cloakbench'}",
        )
    imported = _import(offer)
    _check_facts(imported, offer)
    instance = _build(imported, offer, variant.parameters)
    return LoadedEntry(offer, variant.parameters, instance, package_digest(offer.distribution, provider))


def _import(offer: Offer) -> Any:
    base, method = CONTRACTS[offer.kind]
    try:
        kind = EntryPoint(offer.name, offer.value, offer.kind.group).load()
    except (Exception, SystemExit) as error:
        message = f"expected to import {offer.value!r} of {_label(offer)}, got {_describe(error)}"
        hint = f"See the whole traceback with: python -c 'import {offer.value.partition(':')[0]}'"
        raise SubmissionError(message, hint) from error
    if not (inspect.isclass(kind) and issubclass(kind, base)):
        got = clean_line(repr(kind))
        message = (
            f"expected {offer.value!r} of {_label(offer)} to be a subclass of cloakbench.{base.__name__}, got {got}"
        )
        raise SubmissionError(message, "Name the class itself in the entry point: package.module:Class")
    if inspect.isabstract(kind):
        missing = ", ".join(sorted(kind.__abstractmethods__))
        message = f"expected {offer.value!r} of {_label(offer)} to define {missing}, got an abstract class"
        raise SubmissionError(message, f"Write {method}.")
    return kind


def _check_facts(kind: Any, offer: Offer) -> None:
    is_protection = offer.kind is EntryKind.PROTECTION
    checks = {
        "title": isinstance(getattr(kind, "title", None), str) and bool(getattr(kind, "title", "")),
        "paper": isinstance(kind.paper, str),
        "paper_title": isinstance(kind.paper_title, str),
        "authors": isinstance(kind.authors, str),
        "licence": isinstance(kind.licence, str),
        "contact": isinstance(kind.contact, str),
        "budget": not is_protection or kind.budget in list(BudgetKind),
        "knowledge": is_protection or kind.knowledge in KNOWLEDGE,
        "deterministic": isinstance(kind.deterministic, bool),
        "defaults": isinstance(kind.defaults, Mapping),
        "needs": isinstance(kind.needs, frozenset | set) and all(map(needs.is_valid, kind.needs)),
        "surrogates": kind.surrogates is None or isinstance(kind.surrogates, frozenset | set),
        "preparation": isinstance(kind.preparation, str),
    }
    for name, is_right in checks.items():
        if not is_right:
            got = clean_line(repr(getattr(kind, name, None)))
            message = f"expected a valid class attribute {name!r} of {offer.value!r}, got {got}"
            raise SubmissionError(message, "See the class attributes in cloakbench.contract.")


def _build(kind: Any, offer: Offer, parameters: Mapping[str, Parameter]) -> Any:
    spelled = canonical(offer.name, parameters)
    try:
        inspect.signature(kind).bind(**parameters)
    except TypeError as error:
        raise UserError(
            f"expected parameters that {offer.name!r} takes, got {spelled}: {error}", _takes(kind)
        ) from error
    try:
        return kind(**parameters)
    except BenchmarkError:
        raise
    except (TypeError, ValueError) as error:
        if not parameters:
            raise _unbuilt(offer, spelled, error) from error
        raise UserError(
            f"expected values that {offer.name!r} accepts, got {spelled}: {_describe(error)}", _takes(kind)
        ) from error
    except (Exception, SystemExit) as error:
        raise _unbuilt(offer, spelled, error) from error


def _unbuilt(offer: Offer, spelled: str, error: BaseException) -> SubmissionError:
    message = f"expected {spelled} of {_label(offer)} to start, got {_describe(error)}"
    return SubmissionError(message, "The constructor must work with its defaults; its author has to repair it.")


def _takes(kind: Any) -> str:
    parameters = [p for p in inspect.signature(kind).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    return f"It takes: {', '.join(str(p) for p in parameters) or 'no parameters'}."


def facts(offer: Offer, parameters: Mapping[str, Parameter], digest: str, claims: Claims) -> ProtectionFacts:
    """Returns what records say about a protection: its claims, and what its installation says for itself."""
    is_ours = normalised(offer.distribution) == CONTROLS
    return ProtectionFacts(
        name=canonical(offer.name, parameters),
        version=offer.version,
        distribution=offer.distribution,
        package_digest=digest,
        role=Role(claims.control) if is_ours and claims.control else Role.SUBMISSION,
        **claims.model_dump(exclude={"control", "defaults", "surrogates", "preparation", "knowledge"}),
        looked_into=needs.models(claims.needs),
    )


def _describe(error: BaseException) -> str:
    """Returns an error of a submission's code as one short line."""
    return clean_line(f"{type(error).__name__}: {error}", LONGEST)


def _invalid_claims(offer: Offer, error: Exception) -> SubmissionError:
    message = f"expected valid class attributes of {offer.value!r}, got {_describe(error)}"
    return SubmissionError(message, "See the class attributes of cloakbench.contract.Protection.")


def _label(offer: Offer) -> str:
    return f"{offer.distribution} {offer.version}"
