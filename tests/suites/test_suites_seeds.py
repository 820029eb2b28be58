"""The suites of the seed papers' other experiments: each loads, says its sources, and plans on small models."""

from __future__ import annotations

import numpy as np
import pytest
import tiny

from cloakbench.attacks import catalogue
from cloakbench.datasets import freeze, selection
from cloakbench.errors import UserError
from cloakbench.images import encode
from cloakbench.metrics import catalogue as metrics
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Status
from cloakbench.suites import load as suites
from cloakbench.suites.read import FOLDER
from tests.running import run

RULE = """
name = "editing"
version = 1
rule = "The first is protected, the second is a reference."
protect = 1
references = 1
least_side = 40
most_ratio = 2.0
needs_masks = true

[artists]
helen = "tests"
"""
FROZEN = ("editing", "imitation", "objects", "painting-lite", "sdxl-transfer")
OWN_IMAGES = ("cartoon", "faces", "folder-sd")


@pytest.mark.parametrize("name", [*FROZEN, *OWN_IMAGES])
def test_a_suite_builds_every_stage_for_its_family_and_names_its_sources(name):
    suite = suites.load(name)
    catalogue.check(suite)
    assert {model for attack in suite.attacks for model in [attack.model]} <= {
        "sd15",
        "sd21-base",
        "sd15-inpaint",
        "sdxl",
    }
    assert suite.gpu_gib is not None
    assert suite.perceptual == "lpips-vgg"
    text = (FOLDER / f"{name}.toml").read_text()
    assert text.count("methods") + text.count("project-defined") > 25
    for figure in suite.published:
        assert figure.paper
        assert figure.table
        for metric in figure.values:
            metrics.find(metric)


@pytest.mark.parametrize("name", FROZEN)
def test_a_rule_names_the_artists_and_has_images_enough(name):
    suite = suites.load(name)
    rule = selection.load(suite.selection)
    assert set(suite.collected) <= set(rule.artists)
    assert suite.images_per_artist <= rule.protect
    with pytest.raises(UserError, match="needs a folder") as caught:
        sessions.plan(Choice(name), FOLDER)
    assert f"dataset freeze {name} --from {rule.collection.split()[0]}" in caught.value.hint


def test_published_figures_are_those_of_the_papers():
    rows = {figure.row: figure.values for figure in suites.load("imitation").published}
    assert rows["IMPRESS"] == {"clip-accuracy": 87.0, "diffusion-accuracy": 82.3}
    rows = {figure.row: figure.values for figure in suites.load("editing").published}
    assert rows["JPEG"]["edit-ssim"] > rows["IMPRESS"]["edit-ssim"]
    assert len(suites.load("objects").artists) == 30


def short(suite, **changes):
    """A suite with one step of everything and metrics without weights."""
    one = {"steps": 1, "batch": 1, "class_images": 1}
    tables = {}
    for kind in ("countermeasures", "mimicry"):
        tables[kind] = {}
        for stage, table in getattr(suite, kind).items():
            tables[kind][stage] = {key: one.get(key, value) for key, value in table.items()}
    if "edit" in tables["mimicry"]:
        tables["mimicry"]["edit"] |= {"steps": 2}
    sampling = suite.sampling.model_copy(update={"prompts": suite.sampling.prompts[:1], "per_prompt": 1, "steps": 1})
    chosen = {"primary": "style-distance", "quality": ["psnr", "linf"], "generation": [], "sets": []}
    changes |= {"dtype": "float32", "gpu_gib": None, "perceptual": "mini-lpips", "strengths": [1.0]}
    seeds = suite.seeds.model_copy(update={"controls": 1})
    update = {**tables, "sampling": sampling, "metrics": suite.metrics.model_copy(update=chosen), "seeds": seeds}
    return suite.model_copy(update={**update, **changes})


def test_editing_runs_on_frozen_faces_with_masks(sd_stand_ins, tmp_path):
    (tmp_path / "few.toml").write_text(RULE)
    source = tmp_path / "helen-collection" / "helen"
    (source / "masks").mkdir(parents=True)
    for n in range(3):
        (source / f"{n}.png").write_bytes(encode(tiny.picture(n, 60, 50)))
        mask = np.zeros((60, 50, 3), np.uint8)
        mask[20:40, 10:40] = 255
        if n < 2:
            (source / "masks" / f"{n}.png").write_bytes(encode(mask))
    suite = short(suites.load("editing"), selection=str(tmp_path / "few.toml"), images_per_artist=1)
    manifest = freeze.freeze(suite, str(source.parent), tmp_path / "frozen")
    assert len(manifest.items) == 2  # the third has no mask
    choice = Choice("editing", ["placebo"], tmp_path / "frozen", ["attack=inpaint-jpeg", "protection=placebo"])
    session = sessions.plan_suite(suite, choice, tmp_path / "store")
    [record] = run(session)
    assert (record.status, record.reason) == (Status.OK, "")
    assert len(record.generations["edit-ssim"]) == 1
