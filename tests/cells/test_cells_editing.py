"""Editing, chains and adapters through the whole pipeline."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from running import of, record_of, run
from safetensors.torch import load_file

from cloakbench import Protection
from cloakbench.attacks import catalogue
from cloakbench.attacks.context import Context
from cloakbench.attacks.countermeasures.blur import Blur
from cloakbench.attacks.countermeasures.noise import Noise
from cloakbench.attacks.mimicry import sampling
from cloakbench.cells.stages import Stages
from cloakbench.cells.state import CellState
from cloakbench.errors import UserError
from cloakbench.images import digest, to_tensor
from cloakbench.metrics import weights
from cloakbench.models import loader
from cloakbench.runs.rescore import rescore
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import Diffusing
from cloakbench.store import key
from cloakbench.store.store import Store

TWO_SEEDS = tiny.WHOLE.replace("controls = 1", "controls = 2")
EDITED = [("placebo", 0), ("placebo", 1), ("random-noise", 0), ("same", 0), ("good", 0)]


class Same(Protection):
    """Protects nothing."""

    title = "Same"

    def protect(self, images, request):
        return images


def planned(folder):
    (folder / "tiny.toml").write_text(TWO_SEEDS)
    session = tiny.session(folder / "tiny.toml", folder / "store", [tiny.entry("same", Same()), tiny.entry("good")])
    chosen = [c for c in session.cells if c.attack.name == "edit"]
    for c in session.cells:
        if c.attack.name == "chain" and c.entry.facts.name == "placebo":
            chosen.append(c)
    return replace(session, cells=chosen)


@pytest.fixture(scope="module")
def edited(weights, tmp_path_factory):
    """A finished run, and how many images each call of the sampler was given to edit."""
    calls = []
    original = sampling.image_to_image

    def noted(model, images, *others):
        calls.append(len(images))
        return original(model, images, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOAKBENCH_MODELS", str(weights))
        patch.setattr(sampling, "image_to_image", noted)
        session = planned(tmp_path_factory.mktemp("edit"))
        run(session, keep_images=True)
    return session, calls


def read(path):
    return Record.model_validate_json(path.read_bytes())


def found(session, attack):
    """Records by name of the protection and seed."""
    cells = [c for c in session.cells if c.attack.name == attack]
    kept = [session.store.read_record(c.key, session.environment.env_class) for c in cells]
    return {(r.protection.name, r.seed): r for r in kept}


def test_every_edit_is_compared_with_the_clean_one(edited):
    session, _ = edited
    records = found(session, "edit")
    assert set(records) == set(EDITED)
    for record in records.values():
        assert (record.status, record.reason) == (Status.OK, "")
        # Three images under two prompts.
        assert {name: len(values) for name, values in record.generations.items()} == {"edit-ssim": 6, "edit-psnr": 6}
        assert {name: len(values) for name, values in record.quality.items()} == dict.fromkeys(record.quality, 3)
        assert record.sets == {}
        assert "personalise" not in record.cost


def test_the_edit_of_the_same_image_is_the_same(edited):
    session, _ = edited
    records = found(session, "edit")
    same = records["same", 0]
    assert same.generations["edit-ssim"] == pytest.approx([1.0] * 6)
    assert same.generations["edit-psnr"] == pytest.approx([80.0] * 6)
    assert same.digests["generate"] == same.digests["clean-edit"]
    assert max(records["good", 0].generations["edit-ssim"]) < 1
    assert set(records["good", 0].digests["generate"]).isdisjoint(same.digests["generate"])


def test_the_clean_edit_is_made_once_for_an_artist_and_seed(edited):
    session, calls = edited
    records = found(session, "edit")
    assert calls == [6] * (len(EDITED) + 2)
    computing = []
    for address, record in records.items():
        if not record.cost["clean-edit"].cached:
            computing.append(address)
    assert sorted(seed for _, seed in computing) == [0, 1]
    for seed in (0, 1):
        assert len({tuple(r.digests["clean-edit"]) for (_, s), r in records.items() if s == seed}) == 1
    assert records["placebo", 0].digests["clean-edit"] != records["placebo", 1].digests["clean-edit"]


def test_the_clean_edit_is_that_of_the_artists_images(edited, stand_ins):
    session, _ = edited
    cell = of(session, "same", "edit")
    prompts = ["an oil painting of a boat", "a painting of rain"] * 3
    pixels = [image for image in cell.artist.images for _ in range(2)]
    seeds = [session.planner.seed(cell.artist.name, 0, "edit", n) for n in range(6)]
    plan = Diffusing(steps=2, guidance=2.0, scheduler="ddim")
    edits = sampling.image_to_image(loader.load("mini-a"), to_tensor(pixels), prompts, seeds, plan, 0.5)
    assert [digest(p) for p in edits] == record_of(session, "same", "edit").digests["clean-edit"]


def test_the_clean_edit_is_still_there_in_the_next_run(edited, stand_ins, tmp_path, monkeypatch):
    shutil.copytree(edited[0].store.root, tmp_path / "store")
    session = replace(edited[0], store=Store(tmp_path / "store"))
    session.store.record_path(of(session, "good", "edit").key, session.environment.env_class).unlink()
    calls = []
    monkeypatch.setattr(
        sampling, "image_to_image", lambda _m, images, *_: calls.append(1) or [np.zeros((128, 128, 3), np.uint8)] * 6
    )
    [record] = run(session)
    assert calls == [1]
    assert record.cost["clean-edit"].cached
    assert record.digests["clean-edit"] == record_of(session, "same", "edit").digests["clean-edit"]


def test_a_chain_applies_one_countermeasure_after_the_other(edited, stand_ins):
    session, _ = edited
    cells = [c for c in session.cells if c.attack.name == "chain"]
    where = session.environment.env_class
    protected, _ = session.store.read_images(cells[0].keys["protect"], where)
    cleaned, _ = session.store.read_images(cells[0].keys["countermeasure"], where)
    drawn = []
    for n in range(3):
        drawn.append(session.planner.seed(cells[0].artist.name, 0, "countermeasure:noise", n))
    around = Context(drawn, cells[0].artist.captions, loader.load, loader.mini_lpips())
    expected = Blur(3, 0.8).apply(Noise(0.05).apply(protected, around), around)
    for a, b in zip(cleaned, expected, strict=True):
        assert np.array_equal(a, b)


def test_a_repeated_countermeasure_draws_further_noise(edited, tmp_path):
    session, _ = edited
    suite, cell = session.suite, of(session, "same", "edit")
    twice = suite.attack("chain").model_copy(update={"countermeasure": "noise+noise"})
    cell = session.planner.cell(cell.entry, 0.5, cell.artist, twice, 0)
    stages = Stages(session.planner, Store(tmp_path), session.environment, "cpu", weights.find_usable([]))
    state = CellState(cell, protected=list(cell.artist.images))
    stages.clean(state)
    drawn = []
    for n in range(6):
        drawn.append(session.planner.seed(cell.artist.name, 0, "countermeasure:noise", n))
    first, second = (
        Context(part, cell.artist.captions, loader.load, loader.mini_lpips()) for part in (drawn[:3], drawn[3:])
    )
    expected = Noise(0.05).apply(Noise(0.05).apply(cell.artist.images, first), second)
    for a, b in zip(state.cleaned, expected, strict=True):
        assert np.array_equal(a, b)


def test_only_a_stage_that_knows_clean_images_gets_the_originals(edited, tmp_path):
    session, _ = edited
    suite, cell = session.suite, of(session, "same", "edit")
    tables = {**suite.countermeasures, "half-clean": {"share": 0.67}}
    planner = replace(session.planner, suite=suite.model_copy(update={"countermeasures": tables}))
    mixed = suite.attack("chain").model_copy(update={"countermeasure": "half-clean"})
    cell = planner.cell(cell.entry, 0.5, cell.artist, mixed, 0)
    stages = Stages(planner, Store(tmp_path), session.environment, "cpu", weights.find_usable([]))
    state = CellState(cell, protected=[pixels // 2 for pixels in cell.artist.images])
    stages.clean(state)
    pairs = zip(state.cleaned, cell.artist.images, strict=True)
    assert sum(np.array_equal(result, clean) for result, clean in pairs) == 2
    with pytest.raises(UserError, match="unprotected original"):
        catalogue.find("countermeasure", "half-clean").build({"share": 0.5}).apply(
            state.protected, Context(range(3), cell.artist.captions, loader.load, loader.mini_lpips())
        )


def test_seeds_share_the_cleaned_images_and_learn_apart(edited):
    session, _ = edited
    records = found(session, "chain")
    assert {record.status for record in records.values()} == {Status.OK}
    first, second = records["placebo", 0], records["placebo", 1]
    assert (first.cost["countermeasure"].cached, second.cost["countermeasure"].cached) == (False, True)
    assert first.digests["countermeasure"] == second.digests["countermeasure"]
    assert set(first.digests["generate"]).isdisjoint(second.digests["generate"])


def test_the_adapters_of_each_mimic_are_kept(edited):
    session, _ = edited
    cells = [c for c in session.cells if c.attack.name == "chain"]
    paths = []
    for c in cells:
        paths.append(session.store.adapter_path(c.keys["personalise"], session.environment.env_class))
    first, second = (load_file(path) for path in paths)
    assert first.keys() == second.keys()
    assert any("lora" in name for name in first)
    assert any(not torch.equal(first[name], second[name]) for name in first)


@pytest.fixture
def later(edited, stand_ins, tmp_path):
    """A copy of the run's store, and the suite's next version, which asks for one more metric of edits."""
    shutil.copytree(edited[0].store.root, tmp_path / "store")
    path = tmp_path / "later.toml"
    text = TWO_SEEDS.replace("version = 1", "version = 2", 1)
    path.write_text(text.replace('edit = ["edit-ssim", "edit-psnr"]', 'edit = ["edit-ssim", "edit-vif"]'))
    return str(path), Store(tmp_path / "store")


def test_a_new_metric_of_edits_comes_from_kept_images(edited, later):
    suite, store = later
    done = rescore(suite, store.root)
    assert done.left == []
    new = []
    for r in map(read, store.records()):
        if r.suite_version == 2 and r.attack.name == "edit":
            new.append(r)
    assert len(new) == len(EDITED)
    old = found(edited[0], "edit")
    for record in new:
        address = record.protection.name, record.seed
        assert set(record.generations) == {"edit-ssim", "edit-vif"}
        assert record.generations["edit-ssim"] == old[address].generations["edit-ssim"]
        assert (record.generations["edit-vif"] == pytest.approx([1.0] * 6)) == (address[0] == "same")


def test_edits_that_were_not_kept_are_told(edited, later):
    suite, store = later
    for cell in edited[0].cells:
        if cell.attack.name == "edit":
            shutil.rmtree(store.images_path(cell.keys["generate"], edited[0].environment.env_class))
    [left] = [lacked for lacked in rescore(suite, store.root).left if lacked.metric == "edit-vif"]
    assert left.records == len(EDITED)
    assert "expected the generated images, got none" in left.reason


def test_clean_edits_that_were_lost_are_told(edited, later):
    suite, store = later
    for shared in {key.clean_edit(cell.recipes) for cell in edited[0].cells if cell.attack.name == "edit"}:
        shutil.rmtree(store.images_path(shared, edited[0].environment.env_class))
    [left] = [lacked for lacked in rescore(suite, store.root).left if lacked.metric == "edit-vif"]
    assert left.records == len(EDITED)
    assert "expected the edits of the clean images, got none" in left.reason
