"""What is read of a protection's source without importing it."""

from __future__ import annotations

import pytest

from cloakbench import submissions
from cloakbench.errors import SubmissionError
from cloakbench.submissions import source_facts
from cloakbench.submissions.discovery import Offer

MODULE = '''"""Faint (Doe et al., 2031): a little noise. More words."""
from cloakbench import Protection

class Base(Protection):
    budget = "perceptual"

class Faint(Base):
    """Adds noise.

    Args: none.
    """
    title = "Faint noise"
    paper = "https://arxiv.org/abs/3101.00001"
'''


@pytest.fixture
def offer(tmp_path, monkeypatch):
    """Returns an offer of a package whose files are given; an import of it fails the test."""

    def make(value, files):
        for path, text in files.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        roots = sorted({tmp_path / path.split("/")[0] for path in files})
        monkeypatch.setattr(source_facts, "importable_roots", lambda _: roots)
        return Offer("faint", "faint-cloak", "1.0", value, "a summary")

    return make


def test_facts_are_read_through_imports_and_base_classes(offer):
    files = {
        "faint/__init__.py": "raise RuntimeError\nfrom faint.noise import Faint\n",
        "faint/noise.py": MODULE,
    }
    facts = source_facts.read(offer("faint:Faint", files))
    assert (facts.title, facts.budget, facts.year) == ("Faint noise", "perceptual", "2031")
    assert facts.sentence == "Faint (Doe et al., 2031): a little noise."


def test_relative_imports_and_single_modules_are_followed(offer):
    files = {"faint/__init__.py": "from .inner import Cloak as Faint\n", "faint/inner.py": "class Cloak: title = 'A'\n"}
    assert source_facts.read(offer("faint:Faint", files)).title == "A"
    assert source_facts.read(offer("alone:Faint", {"alone.py": MODULE})).title == "Faint noise"


@pytest.mark.parametrize(
    ("value", "files", "got"),
    [
        ("faint", {"faint/__init__.py": MODULE}, "no class"),
        ("faint:Fain", {"faint/__init__.py": MODULE}, "no 'Fain'"),
        ("faint.noise:Faint", {"faint/__init__.py": MODULE}, "no module 'faint.noise'"),
        ("other:Faint", {"faint/__init__.py": MODULE}, "no module 'other'"),
        ("faint:Faint", {"faint/__init__.py": "class Faint(:\n"}, "syntax error in __init__.py, line 1"),
    ],
)
def test_an_entry_point_that_cannot_work_is_refused(offer, value, files, got):
    refused = offer(value, files)
    with pytest.raises(SubmissionError, match=got):
        source_facts.read(refused)
    assert got in source_facts.problem(refused)


@pytest.mark.parametrize(
    "source",
    ["from elsewhere import *\n", "Faint = make()\n", "def __getattr__(name): ...\n", "from elsewhere import Faint\n"],
)
def test_what_the_source_does_not_show_is_left_open(offer, source):
    assert source_facts.read(offer("faint:Faint", {"faint/__init__.py": source})) == source_facts.SourceFacts()


@pytest.mark.parametrize(
    ("constructor", "required"),
    [
        ("def __init__(self): ...", ()),
        ("def __init__(self, steps=40, *, scale: float = 1.0): ...", ()),
        ("def __init__(self, folder, steps=40, *, scale): ...", ("folder", "scale")),
        ("def __init__(self, *parts, **values): ...", ()),
    ],
)
def test_parameters_without_a_default_are_those_of_the_nearest_constructor(offer, constructor, required):
    source = f"class Base:\n    {constructor}\n\nclass Faint(Base):\n    title = 'Faint'\n"
    assert source_facts.read(offer("faint:Faint", {"faint/__init__.py": source})).required == required


def test_every_installed_protection_has_a_sentence():
    for offered in submissions.discover().offers:
        facts = source_facts.read(offered)
        assert facts.title, offered.name
        assert facts.sentence.endswith("."), offered.name
        assert facts.required == (("folder",) if offered.name == "images" else ())
