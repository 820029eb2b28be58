"""The suite painting, end to end, on small models of Stable Diffusion's shape: every attack, no real weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny

from cloakbench.datasets import freeze
from cloakbench.errors import UserError
from cloakbench.images import encode
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.suite import Suite
from cloakbench.suites import load as suites
from tests import rules
from tests.running import run

SHORT = {"steps": 1, "batch": 1, "class_images": 1}


def shortened(rule: Path) -> Suite:
    """The suite as it is, but for the number of images, of steps and of generations, and metrics of large networks."""
    suite = suites.load("painting")

    def short(table):
        return {name: SHORT.get(name, value) for name, value in table.items()}

    tables = {"countermeasures": suite.countermeasures, "mimicry": suite.mimicry}
    changes = {}
    for kind, found in tables.items():
        changes[kind] = {name: short(table) for name, table in found.items()}
    changes["countermeasures"]["diffpure"] |= {"steps": 2, "strength": 0.5}
    changes["mimicry"]["edit"] |= {"steps": 2}
    few = {"selection": str(rule), "artists": ["claude-monet"], "images_per_artist": 2, "strengths": [1.0]}
    seeds = suite.seeds.model_copy(update={"controls": 1})
    sampling = suite.sampling.model_copy(update={"prompts": suite.sampling.prompts[:1], "per_prompt": 1, "steps": 1})
    # The stand-in for CLIP's distance; those of large networks have no weights here and would be skipped.
    metrics = suite.metrics.model_copy(update={"quality": ["dists", "psnr", "linf"], "primary": "style-distance"})
    matching = suite.matching.model_copy(update={"artists": ["ilya-repin"], "images_per_artist": 1, "gates": {}})
    # bfloat16 is many times slower than float32 on processors without instructions for it.
    return suite.model_copy(
        update={
            **changes,
            **few,
            "seeds": seeds,
            "sampling": sampling,
            "dtype": "float32",
            "gpu_gib": None,
            "perceptual": "mini-lpips",  # LPIPS's weights cannot be had everywhere
            "metrics": metrics,
            "matching": matching,
        }
    )


@pytest.fixture
def short(sd_stand_ins, tmp_path):
    """The shortened suite, with two frozen paintings of each of its two artists."""
    path = tmp_path / "few.toml"
    path.write_text(rules.text("few", ["claude-monet", "ilya-repin"], 2, 2))
    for first, artist in ((0, "claude-monet"), (50, "ilya-repin")):
        source = tmp_path / "wikiart" / artist
        source.mkdir(parents=True)
        for n in range(4):
            (source / f"{n}.png").write_bytes(encode(tiny.picture(first + n, 60, 50 + n)))
    suite = shortened(path)
    freeze.freeze(suite, str(tmp_path / "wikiart"), tmp_path / "frozen")
    return suite


@pytest.fixture
def painting(short, tmp_path):
    """A planned run of the shortened suite, controls included."""
    return planned(short, tmp_path)


def planned(suite, folder):
    return sessions.plan_suite(suite, Choice("painting", ["placebo"], folder / "frozen"), folder / "store")


def checked(records, suite):
    assert {(r.status, r.reason) for r in records} == {(Status.OK, "")}
    edits = set()
    for record in records:
        if record.attack.name == "edit":
            edits.add(record.key)
    for record in records:
        values = record.generations["edit-ssim" if record.key in edits else "style-distance"]
        assert len(values) == (2 * len(suite.edit_prompts) if record.key in edits else 1)
        assert np.isfinite(values).all()


def test_strengths_are_sought_on_paintings_of_others(painting):
    [repin] = painting.planner.calibration
    assert (repin.name, len(repin.images), repin.images[0].shape) == ("ilya-repin", 1, (512, 512, 3))
    assert {cell.artist.name for cell in painting.cells} == {"claude-monet"}
    sought = [cell for cell in painting.cells if cell.target is not None]
    assert {(cell.entry.facts.name, cell.target) for cell in sought} == {("random-noise", 0.15)}
    [asked] = sought[0].recipes.calibrate.orders
    assert asked.images == repin.image_digests


def test_a_run_without_the_weights_of_its_distance_stops_before_it_starts(painting, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    lpips = replace(painting, suite=painting.suite.model_copy(update={"perceptual": "lpips-vgg"}))
    with pytest.raises(UserError, match="lpips-vgg"):
        run(lpips)
    assert list(lpips.store.records()) == []


def test_paintings_of_512_pixels_are_purified_learned_and_imitated(short, tmp_path):
    """Without strengths that are sought, so without DISTS, which takes seconds for an image of this size."""
    metrics = short.metrics.model_copy(update={"quality": ["psnr", "linf"]})
    painting = planned(short.model_copy(update={"metrics": metrics, "matching": None}), tmp_path)
    [cell] = [c for c in painting.cells if (c.entry.facts.name, c.attack.name) == ("placebo", "impress")]
    records = run(replace(painting, cells=[cell]))
    checked(records, painting.suite)
    assert set(records[0].cost) == {"protect", "countermeasure", "personalise", "generate", "measure"}


@pytest.mark.long
def test_an_arm_goes_through_every_attack(painting):
    chosen = [cell for cell in painting.cells if cell.entry.facts.name in ("placebo", "floor")]
    assert {cell.attack.name for cell in chosen} == {attack.name for attack in painting.suite.attacks}
    records = run(replace(painting, cells=chosen))
    assert len(records) == len(chosen)
    checked(records, painting.suite)
