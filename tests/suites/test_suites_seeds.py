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
from tests import rules
from tests.running import run

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
        "instruct-pix2pix",
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


UNSOURCED = {"name", "version", "title", "description", "dataset", "selection", "extends", "like", "sets", "generation"}
"""Keys that say what a suite is, and lists that may be empty."""


@pytest.mark.parametrize("name", ["mini-extended", "painting", *FROZEN, *OWN_IMAGES])
def test_every_value_says_where_it_comes_from(name):
    """By a comment on its line, on the head of its table, or above it."""
    of_table = is_listed = above = False
    for line in (FOLDER / f"{name}.toml").read_text().splitlines():
        key, is_value, _ = line.partition(" = ")
        if line.startswith("["):
            of_table, is_listed, above = "#" in line, line.startswith("[["), False
        elif line.startswith("#"):
            above = True
        else:
            is_value = is_value and key.replace("_", "").replace("-", "").isalnum() and key not in UNSOURCED
            is_opening = line.endswith(("[", "\\"))  # of a list whose items have their own
            assert not is_value or is_listed or is_opening or "#" in line or of_table or above, line
            above = False


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
    assert rows["IMPRESS"] == {"clip-accuracy": 0.87, "diffusion-accuracy": 0.823}
    rows = {figure.row: figure.values for figure in suites.load("editing").published}
    assert rows["JPEG"]["edit-ssim"] > rows["IMPRESS"]["edit-ssim"]
    assert len(suites.load("objects").artists) == 30


def short(suite, **changes):
    """A suite with one step of everything and metrics without weights."""
    settings = {"steps": 1, "batch": 1, "class_images": 1}
    tables = {}
    for kind in ("countermeasures", "mimicry"):
        tables[kind] = {}
        for stage, table in getattr(suite, kind).items():
            tables[kind][stage] = {key: settings.get(key, value) for key, value in table.items()}
    if "diffpure" in tables["countermeasures"]:
        tables["countermeasures"]["diffpure"] |= {"steps": 2, "strength": 0.5}
    if "edit" in tables["mimicry"]:
        tables["mimicry"]["edit"] |= {"steps": 2}
    sampling = suite.sampling.model_copy(update={"prompts": suite.sampling.prompts[:1], "per_prompt": 1, "steps": 1})
    chosen = {"primary": "style-distance", "quality": ["psnr", "linf"], "generation": [], "sets": []}
    chosen["edit"] = [name for name in suite.metrics.edit if name != "edit-adherence"]
    changes |= {"dtype": "float32", "gpu_gib": None, "perceptual": "mini-lpips", "strengths": [1.0]}
    seeds = suite.seeds.model_copy(update={"controls": 1})
    update = {**tables, "sampling": sampling, "metrics": suite.metrics.model_copy(update=chosen), "seeds": seeds}
    return suite.model_copy(update={**update, **changes})


def one_artist(name, folder):
    """A shortened suite, and the folder of pictures of its first artist, or of a person called one."""
    suite = suites.load(name)
    artist = suite.artists[0] if suite.artists else "one"
    source = folder / "collection" / artist
    source.mkdir(parents=True)
    for n in range(5 if suite.dataset == "folder" else 2):
        (source / f"{n}.png").write_bytes(encode(tiny.picture(n, 60, 50 + n)))
    if suite.dataset == "folder":
        return short(suite, images_per_artist=1), source.parent
    path = folder / "rule.toml"
    path.write_text(rules.text(suite.selection, [artist]))
    suite = short(suite, artists=[artist], images_per_artist=1, selection=str(path), matching=None)
    freeze.freeze(suite, str(source.parent), folder / "frozen")
    return suite, folder / "frozen"


def checked_run(name, folder, *only):
    """Runs the placebo's cells; returns their records."""
    suite, images = one_artist(name, folder)
    choice = Choice(name, ["placebo"], images, ["protection=placebo", *only])
    records = run(sessions.plan_suite(suite, choice, folder / "store"))
    assert {(record.status, record.reason) for record in records} == {(Status.OK, "")}
    for record in records:
        assert np.isfinite(record.generations["style-distance"]).all()
    return records


@pytest.mark.parametrize(("name", "attack"), [("objects", "noise"), ("sdxl-transfer", "jpeg")])
@pytest.mark.usefixtures("sd_stand_ins")
def test_a_suite_runs_on_narrow_models(name, attack, tmp_path):
    [record] = checked_run(name, tmp_path, f"attack={attack}")
    assert {"protect", "personalise", "generate", "measure"} <= set(record.cost)


@pytest.mark.long
@pytest.mark.parametrize("name", ["cartoon", "faces", "imitation", "objects", "painting-lite", "sdxl-transfer"])
@pytest.mark.usefixtures("sd_stand_ins")
def test_every_attack_of_a_suite_runs_on_narrow_models(name, tmp_path):
    records = checked_run(name, tmp_path)
    assert {record.attack.name for record in records} == {attack.name for attack in suites.load(name).attacks}


def edited(folder, *only):
    """Runs the placebo's cells of `editing` on one frozen face; returns their records."""
    (folder / "few.toml").write_text(rules.text("editing", ["helen"], needs_masks=True))
    source = folder / "helen-collection" / "helen"
    (source / "masks").mkdir(parents=True)
    for n in range(3):
        (source / f"{n}.png").write_bytes(encode(tiny.picture(n, 60, 50)))
        mask = np.zeros((60, 50, 3), np.uint8)
        mask[20:40, 10:40] = 255
        if n < 2:
            (source / "masks" / f"{n}.png").write_bytes(encode(mask))
    suite = short(suites.load("editing"), selection=str(folder / "few.toml"), images_per_artist=1)
    manifest = freeze.freeze(suite, str(source.parent), folder / "frozen")
    assert len(manifest.items) == 2  # the third has no mask
    choice = Choice("editing", ["placebo"], folder / "frozen", ["protection=placebo", *only])
    records = run(sessions.plan_suite(suite, choice, folder / "store"))
    assert {(record.status, record.reason) for record in records} == {(Status.OK, "")}
    return records


@pytest.mark.usefixtures("sd_stand_ins")
def test_editing_runs_on_frozen_faces_with_masks(tmp_path):
    [record] = edited(tmp_path, "attack=inpaint-jpeg")
    assert len(record.generations["edit-ssim"]) == 1


@pytest.mark.long
@pytest.mark.usefixtures("sd_stand_ins")
def test_every_attack_of_editing_runs_on_narrow_models(tmp_path):
    names = {record.attack.name for record in edited(tmp_path)}
    assert names == {attack.name for attack in suites.load("editing").attacks}
