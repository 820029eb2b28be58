"""What is installed: the protections and attacks that distributions offer, read from their metadata alone."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib.metadata import Distribution, EntryPoint, PackageMetadata

from cloakbench.errors import UserError
from cloakbench.submissions import environments
from cloakbench.submissions.naming import NAME, normalised
from cloakbench.submissions.text import clean_line


class EntryKind(StrEnum):
    """What an entry point offers."""

    PROTECTION = "protection"
    COUNTERMEASURE = "countermeasure"
    MIMICRY = "mimicry"

    @property
    def group(self) -> str:
        """The group of the entry points."""
        return {
            EntryKind.PROTECTION: "cloakbench.protections",
            EntryKind.COUNTERMEASURE: "cloakbench.countermeasures",
            EntryKind.MIMICRY: "cloakbench.mimicry",
        }[self]


GROUP = EntryKind.PROTECTION.group
GROUPS = tuple(kind.group for kind in EntryKind)

Provider = Callable[[], Iterable[Distribution]]


@dataclass(frozen=True, slots=True)
class Offer:
    """One protection or attack that an installed distribution offers."""

    name: str
    distribution: str
    version: str
    value: str
    """Where its class is, as the entry point says it: `package.module:Class`."""
    summary: str
    kind: EntryKind = EntryKind.PROTECTION
    rivals: tuple[str, ...] = ()
    """Other distributions that offer the same name; while there are any, the name can't be used."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All offers, sorted by name, and what was wrong with metadata that had to be left out."""

    offers: tuple[Offer, ...]
    problems: tuple[str, ...] = ()
    kind: EntryKind = EntryKind.PROTECTION

    @property
    def names(self) -> tuple[str, ...]:
        """Every name once, sorted."""
        return tuple(sorted({offer.name for offer in self.offers}))

    def find(self, name: str) -> Offer:
        """Returns the offer called `name`; raises UserError where it is unknown or offered twice."""
        named = [offer for offer in self.offers if offer.name == name]
        if not named:
            raise UserError(f"expected an installed {self.kind}, got {name!r}", self._advice(name))
        if len(named) > 1:
            owners = " and ".join(f"{offer.distribution} {offer.version}" for offer in named)
            message = f"expected one distribution that offers {name!r}, got {len(named)}: {owners}"
            raise UserError(message, f"Uninstall all but one: pip uninstall {named[-1].distribution}")
        return named[0]

    def _advice(self, name: str) -> str:
        close = difflib.get_close_matches(name, self.names, n=3, cutoff=0.5)
        meant = f"Did you mean {' or '.join(close)}? " if close else ""
        return f"{meant}{describe_installed(self.names)}"


def describe_installed(names: Iterable[str]) -> str:
    """Returns which names are installed, sorted, and how one more is added.

    Example:
        >>> describe_installed(["photoguard", "mist"])
        'Installed: mist, photoguard. Add one with pip install PATH_OR_NAME.'
    """
    ordered = sorted(names)
    if not ordered:
        return (
            "Installed: none. In a clone of the project, run make library and wait for its end; it installs those of "
            "the project. Elsewhere, add one with pip install PATH_OR_NAME."
        )
    return f"Installed: {', '.join(ordered)}. Add one with pip install PATH_OR_NAME."


def discover(provider: Provider | None = None, kind: EntryKind = EntryKind.PROTECTION) -> Listing:
    """Returns what installed distributions offer; imports none of them.

    Args:
        provider: Yields the distributions to look at; all installed ones by default.
        kind: What is looked for.
    """
    problems: list[str] = []
    offers = sorted(
        _offers(provider or environments.installed, problems, kind), key=lambda o: (o.name, o.distribution, o.value)
    )
    flagged = tuple(replace(offer, rivals=_rivals(offer, offers)) for offer in offers)
    return Listing(flagged, tuple(problems), kind)


def find(name: str, provider: Provider | None = None, kind: EntryKind = EntryKind.PROTECTION) -> Offer:
    """Returns the offer called `name`; raises UserError (did you mean) where there is not exactly one."""
    return discover(provider, kind).find(name)


def _offers(provider: Provider, problems: list[str], kind: EntryKind) -> Iterator[Offer]:
    owners: set[str] = set()
    for distribution in provider():
        try:
            # The text is searched first: parsing the metadata of every installed package would take most of a listing.
            if kind.group not in (distribution.read_text("entry_points.txt") or ""):
                continue
            facts = distribution.metadata  # parsed anew each time that it is asked for
            owner = normalised(facts["Name"])
            points = distribution.entry_points.select(group=kind.group)
            offers = [_offer(point, facts, kind) for point in points]
        except Exception as error:  # one distribution's damage must not hide the others
            reason = clean_line(f"{type(error).__name__}: {error}")
            problems.append(f"unreadable metadata of {_label(distribution)}: {reason}")
            continue
        if owner in owners:  # found again further down the path, where imports do not reach
            continue
        owners.add(owner)
        for offer in offers:
            if NAME.fullmatch(offer.name):
                yield offer
            else:
                problems.append(_misnamed(offer))


def _offer(point: EntryPoint, facts: PackageMetadata, kind: EntryKind) -> Offer:
    summary = facts["Summary"] if "Summary" in facts else ""  # noqa: SIM401 - typed without get in 3.11
    return Offer(
        name=point.name,
        distribution=clean_line(facts["Name"]),
        version=clean_line(facts["Version"]),
        value=clean_line(point.value),
        summary=clean_line(summary),
        kind=kind,
    )


def _rivals(offer: Offer, offers: list[Offer]) -> tuple[str, ...]:
    return tuple(other.distribution for other in offers if other.name == offer.name and other is not offer)


def _misnamed(offer: Offer) -> str:
    return f"{offer.distribution} offers {clean_line(offer.name)!r}: expected a name of a-z, 0-9, '.', '_', '-'"


def _label(distribution: Distribution) -> str:
    try:
        return clean_line(str(distribution.name))
    except Exception:  # its metadata may be what is damaged
        return "a distribution without a readable name"
