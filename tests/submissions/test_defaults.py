"""Parameters by family of the surrogate: a paper's values on Stable Diffusion, mini's on mini, shown with the entry."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from cloakbench import whitebox
from cloakbench.cells.plan import PlannedEntry
from cloakbench.families import of_width
from cloakbench.models import registry
from cloakbench.runs.entries import on_family
from cloakbench.submissions import loading
from cloakbench.submissions.discovery import discover, find
from cloakbench.submissions.sandbox.client import SandboxedSubmission

ON_STABLE_DIFFUSION = {
    "photoguard": {"steps": 1000, "chunk": 4},
    "photoguard-diffusion": {"steps": 200, "draws": 10},
    "advdm": {"chunk": 2},
    "mist": {"chunk": 2},
    "sds": {"chunk": 2},
    "anti-dreambooth": {"learning_rate": 5e-7, "steps": 300, "chunk": 2},
    "anti-dreambooth[method=fsmg]": {"learning_rate": 5e-7, "steps": 100, "surrogate_steps": 1000, "chunk": 2},
    "anti-dreambooth[steps=6]": {"learning_rate": 5e-7, "chunk": 2},
    "pid": {"steps": 1000, "chunk": 2},
    "glaze": {"steps": 500, "rate": 0.04},
    "adaptive": {"steps": 1000},
    "adaptive-glaze": {"steps": 500, "rate": 0.04},
    "impasto": {"steps": 1000, "chunk": 2},
    "impasto[base=advdm]": {"steps": 100, "chunk": 2},
}
ON_MINI = {
    "photoguard": {"steps": 100, "chunk": 16},
    "photoguard-diffusion": {"steps": 50, "draws": 1},
    "anti-dreambooth": {"learning_rate": 3e-4, "steps": 60, "chunk": 4},
    "glaze": {"steps": 100, "rate": 0.004},
    "impasto": {"steps": 100, "chunk": 4},
}
WITHOUT = {"identity", "placebo", "random-noise", "images", "fastprotect"}
"""Entries without a parameter that depends on the surrogate."""


def surrogate(width):
    return SimpleNamespace(unet=SimpleNamespace(config=SimpleNamespace(cross_attention_dim=width)))


@pytest.mark.parametrize(("width", "family"), [(128, "mini"), (768, "stable-diffusion"), (2048, "stable-diffusion")])
def test_a_model_has_its_family_by_the_width_of_its_text(width, family):
    assert of_width(width) == whitebox.family(surrogate(width)) == family


@pytest.mark.parametrize(("spelling", "expected"), ON_STABLE_DIFFUSION.items())
def test_values_on_stable_diffusion_are_the_papers(spelling, expected):
    loaded = loading.load(spelling)
    assert loaded.claims().defaults["stable-diffusion"] == expected
    protection = loaded.instance
    chosen = whitebox.settings(surrogate(768), protection.defaults, protection.parameters)
    assert {name: chosen[name] for name in expected} == expected


@pytest.mark.parametrize(("spelling", "expected"), ON_MINI.items())
def test_values_on_mini_are_minis(spelling, expected):
    protection = loading.load(spelling).instance
    assert whitebox.settings(surrogate(128), protection.defaults, protection.parameters) == expected


def test_every_entry_is_checked_here():
    checked = {spelling.partition("[")[0] for spelling in ON_STABLE_DIFFUSION}
    assert checked == {offer.name for offer in discover().offers} - WITHOUT
    for name in WITHOUT - {"images"}:
        assert not loading.load(name).claims().defaults


def test_a_value_that_the_user_gives_counts_on_every_family():
    protection = loading.load("photoguard[steps=7]").instance
    for width in (128, 768):
        assert protection.schedule(surrogate(width)).steps == 7


@pytest.mark.parametrize(
    ("alias", "family"), [("mini-a", "mini"), ("sd15", "stable-diffusion"), ("sd21-base", "stable-diffusion")]
)
def test_an_entry_shows_the_values_of_the_suites_surrogate(alias, family):
    assert registry.family(alias) == family
    claims = loading.load("glaze[rate=0.02]").claims()
    worker = SandboxedSubmission("glaze[rate=0.02]")
    worker.claims = claims
    planned = PlannedEntry(loading.facts(find("glaze"), {"rate": 0.02}, "0" * 64, claims), worker)
    [resolved] = on_family([planned], registry.family(alias))
    assert resolved.facts.settings == {"steps": {"mini": 100, "stable-diffusion": 500}[family]}


def test_a_folder_has_the_family_of_its_configuration(sd_stand_ins):
    assert registry.family(str(sd_stand_ins / "sd15")) == "stable-diffusion"
    assert registry.family(str(sd_stand_ins / "mini-a")) == "mini"
