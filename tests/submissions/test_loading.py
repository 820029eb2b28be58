from __future__ import annotations

import pytest

from cloakbench.errors import SubmissionError, UserError
from cloakbench.submissions.loading import load

GOOD = """
from cloakbench import Protection

class Good(Protection):
    title = "Good"
    paper = "https://example.org"
    licence = "MIT"
    control = "identity"

    def __init__(self, *, steps: int = 5, mode: str = "a") -> None:
        if mode not in ("a", "b"):
            raise ValueError(f"mode: expected a or b, got {mode!r}")
        self.steps, self.mode = steps, mode

    def protect(self, images, request):
        return images

class Abstract(Protection):
    title = "Abstract"

class Untitled(Good):
    title = ""

class Budgetless(Good):
    budget = "l7"

class Quitter(Good):
    def __init__(self) -> None:
        raise OSError("no disk")

class Clumsy(Good):
    def __init__(self) -> None:
        raise TypeError("oops")

class Exits(Good):
    def __init__(self, code: int = 3) -> None:
        raise SystemExit(code)

def function(): ...
"""
KINDS = ("Good", "Abstract", "Untitled", "Budgetless", "Quitter", "Clumsy", "Exits", "function", "Absent")


@pytest.fixture
def provider(environment, importable):
    importable("good", "plugin_good", GOOD, {kind.lower(): f"plugin_good:{kind}" for kind in KINDS})
    importable("bad", "plugin_bad", "import no_such_module\n", {"bad": "plugin_bad:X"})
    importable("leaver", "plugin_leaver", "raise SystemExit(0)\n", {"leaver": "plugin_leaver:X"})
    return environment


def test_loads_with_parameters_and_facts(provider) -> None:
    loaded = load("good[mode=b,steps=9]", provider)
    assert (loaded.instance.steps, loaded.instance.mode) == (9, "b")
    facts = loaded.facts()
    assert facts.name == loaded.identity == "good[mode=b,steps=9]"
    assert (facts.version, facts.distribution, facts.licence) == ("1.0", "good", "MIT")
    assert len(facts.package_digest) == 64


def test_only_our_own_distribution_offers_controls(provider) -> None:
    assert load("good", provider).facts().role == "submission"
    roles = {}
    for name in ("identity", "placebo", "random-noise", "photoguard"):
        roles[name] = load(name).facts().role
    assert roles.pop("photoguard") == "submission"
    for name, role in roles.items():
        assert name == role


@pytest.mark.parametrize(
    ("name", "told", "cause"),
    [
        ("bad", "'plugin_bad:X' of bad 1.0, got ModuleNotFoundError: No module named 'no_such_module'", ImportError),
        ("leaver", "got SystemExit", SystemExit),
        ("absent", "got AttributeError", AttributeError),
        ("function", "to be a subclass of cloakbench.Protection, got <function", None),
        ("abstract", "to define protect, got an abstract class", None),
        ("untitled", "class attribute 'title' of 'plugin_good:Untitled', got ''", None),
        ("budgetless", "class attribute 'budget' .* got 'l7'", None),
        ("quitter", "to start, got OSError: no disk", OSError),
        ("clumsy", "to start, got TypeError: oops", TypeError),
        ("exits[code=1]", "to start, got SystemExit", SystemExit),
    ],
)
def test_a_broken_submission_says_who_and_what(provider, name: str, told: str, cause: type | None) -> None:
    with pytest.raises(SubmissionError, match=told) as caught:
        load(name, provider)
    assert caught.value.hint
    assert cause is None or isinstance(caught.value.__cause__, cause)
    assert load("good", provider).instance is not None


@pytest.mark.parametrize(
    ("spelling", "told"),
    [
        ("good[stepz=3]", "unexpected keyword argument 'stepz'"),
        ("good[mode=c]", "mode: expected a or b, got 'c'"),
    ],
)
def test_wrong_parameters_are_the_users_and_list_what_it_takes(provider, spelling: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        load(spelling, provider)
    assert "steps: int = 5, mode: str = 'a'" in caught.value.hint.replace('"', "'")


def test_a_protection_without_parameters_says_so(provider) -> None:
    with pytest.raises(UserError, match="It takes: no parameters"):
        load("identity[steps=3]")
    with pytest.raises(UserError, match="Did you mean good"):
        load("goood", provider)
