from __future__ import annotations

import subprocess
import sys

import pytest

from cloakbench import listing
from cloakbench.errors import UserError
from cloakbench.submissions.discovery import discover, find


def test_lists_offers_sorted_with_their_facts(environment) -> None:
    environment.install("beta", {"zig": "beta:Zig", "alto": "beta.deep:Alto"}, version="2.1")
    environment.install("alpha", {"mid": "alpha:Mid"})
    listing = discover(environment)
    assert [(o.name, o.distribution, o.version, o.value) for o in listing.offers] == [
        ("alto", "beta", "2.1", "beta.deep:Alto"),
        ("mid", "alpha", "1.0", "alpha:Mid"),
        ("zig", "beta", "2.1", "beta:Zig"),
    ]
    assert listing.offers[0].summary == "What beta does"
    assert listing.problems == ()
    assert find("mid", environment) == listing.offers[1]


def test_two_distributions_with_one_name_stop_only_that_name(environment) -> None:
    environment.install("first", {"cloak": "first:A", "other": "first:B"})
    environment.install("second", {"cloak": "second:A"})
    listing = discover(environment)
    assert {(o.name, o.distribution): o.rivals for o in listing.offers} == {
        ("cloak", "first"): ("second",),
        ("cloak", "second"): ("first",),
        ("other", "first"): (),
    }
    assert listing.names == ("cloak", "other")
    assert listing.find("other").distribution == "first"
    with pytest.raises(UserError, match=r"'cloak', got 2: first 1\.0 and second 1\.0") as caught:
        listing.find("cloak")
    assert "pip uninstall second" in caught.value.hint


def test_a_distribution_found_twice_on_the_path_counts_once(environment) -> None:
    environment.install("My_Pkg", {"cloak": "near:A"})
    environment.install("my-pkg", {"cloak": "far:A"}, version="0.9")
    assert find("cloak", environment).value == "near:A"


def test_unknown_name_gets_suggestions_and_the_list(environment) -> None:
    environment.install("alpha", {"photoguard": "alpha:A", "mist": "alpha:B"})
    with pytest.raises(UserError, match="got 'photogaurd'") as caught:
        find("photogaurd", environment)
    assert "Did you mean photoguard?" in caught.value.hint
    assert "Installed: mist, photoguard" in caught.value.hint
    with pytest.raises(UserError, match=r"Installed: none\..* make library"):
        find("photoguard", list)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("entry_points.txt", "[cloakbench.protections]\nnonsense without a sign\n"),
        ("METADATA", "Version: 1.0\n"),
    ],
)
def test_damaged_metadata_are_reported_and_hide_nobody_else(environment, file: str, text: str) -> None:
    environment.install("broken", {"bad": "broken:A"}).texts[file] = text
    environment.install("sound", {"good": "sound:A"})
    listing = discover(environment)
    assert "good" in listing.names
    if file == "entry_points.txt":
        assert listing.names == ("good",)
        assert "unreadable metadata of broken" in listing.problems[0]


def test_names_that_are_paths_are_left_out_with_a_reason(environment) -> None:
    environment.install("evil", {"../../etc": "evil:A", "fine": "evil:B"})
    listing = discover(environment)
    assert listing.names == ("fine",)
    assert "'../../etc'" in listing.problems[0]


def test_a_list_of_protections_warns_of_names_that_are_none(environment, monkeypatch, caplog) -> None:
    environment.install("odd", {"Odd_Caps": "odd:A", "even": "odd:B"})
    monkeypatch.setattr("cloakbench.submissions.environments.installed", environment)
    assert [item.name for item in listing.protections()] == ["even"]
    assert "'Odd_Caps'" in caplog.text


def test_listing_imports_neither_torch_nor_a_submission() -> None:
    code = (
        "import sys; from cloakbench.submissions import discover, package_digest; discover();"
        "package_digest('cloakbench-controls');"
        "print([m for m in ('torch', 'diffusers', 'cloakbench_controls') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_baselines_are_installed() -> None:
    assert {"identity", "placebo", "random-noise", "photoguard"} <= set(discover().names)
