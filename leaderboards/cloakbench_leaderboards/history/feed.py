"""An Atom feed of what happened: ids never change, so that a reader shows each event once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree import ElementTree

ATOM = "http://www.w3.org/2005/Atom"
_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "cloakbench:history")


class Event(NamedTuple):
    """One entry of the feed."""

    identity: tuple[str, ...]
    """Distinguishes it from all other events: neither a wording nor a number that a rebuild may change."""
    title: str
    words: str
    when: str
    """UTC time, ISO 8601."""
    link: str
    """From the site's folder."""


def stable_id(*parts: str) -> str:
    """Returns an id made of the parts: equal parts give equal ids on every machine.

    Example:
        >>> stable_id("mini") == stable_id("mini") != stable_id("mi", "ni")
        True
    """
    return f"urn:uuid:{uuid.uuid5(_SPACE, repr(parts))}"


def atom(title: str, identity: Sequence[str], page: str, events: Sequence[Event], updated: str) -> bytes:
    """Returns the feed, the newest event first; `updated` stands where there is none."""
    ElementTree.register_namespace("", ATOM)
    root = ElementTree.Element(f"{{{ATOM}}}feed")
    newest = sorted(events, key=lambda event: (event.when, event.identity), reverse=True)
    _add(root, "id", stable_id(*identity))
    _add(root, "title", title)
    _add(root, "updated", newest[0].when if newest else updated)
    _add(_add(root, "author"), "name", "cloakbench")
    _add(root, "link", href=page)
    for event in newest:
        entry = _add(root, "entry")
        _add(entry, "id", stable_id(*event.identity))
        _add(entry, "title", event.title)
        _add(entry, "updated", event.when)
        _add(entry, "link", href=event.link)
        _add(entry, "summary", event.words)
    ElementTree.indent(root, " ")
    text: str = ElementTree.tostring(root, "unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()


def _add(parent: ElementTree.Element, name: str, words: str = "", **attributes: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, f"{{{ATOM}}}{name}", attributes)
    element.text = words or None
    return element
