"""What a run does where the weights of a metric are missing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch

from cloakbench.cells.pipeline import Pipeline
from cloakbench.metrics import weights
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from tests.running import run

pytestmark = pytest.mark.usefixtures("stand_ins")
WITH_DISTS = tiny.TEXT.replace('"psnr", "linf"]', '"psnr", "linf", "dists"]')
REFERENCE = Path(__file__).parents[2] / "leaderboards" / "reference" / "mini" / "records.jsonl"


@pytest.fixture
def no_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def planned(tmp_path, text):
    (tmp_path / "tiny.toml").write_text(text)
    return tiny.session(tmp_path / "tiny.toml", tmp_path / "store")


def test_a_metric_without_weights_has_no_value_but_a_reason(tmp_path, no_weights):
    session = planned(tmp_path, WITH_DISTS)
    cells = [c for c in session.cells if c.entry.facts.name == "placebo"]
    for record in run(session):
        assert record.status is Status.OK
        if record.protection.name == "floor":
            continue
        assert set(record.quality) == {"mini-lpips", "psnr", "linf"}
        assert record.skipped == {"dists": weights.missing("dists")}
        assert "vgg16-397923af.pth" in record.skipped["dists"]
    assert len(cells) == 2


def test_keys_name_the_weights_that_metrics_need_and_only_those(tmp_path, no_weights):
    [plain, wanting] = [planned(tmp_path, text).cells[0].recipes.measure for text in (tiny.TEXT, WITH_DISTS)]
    assert "weights" not in plain.content()
    assert wanting.weights == weights.digests(["dists"])


@pytest.mark.skipif(not REFERENCE.is_file(), reason="no committed records")
def test_records_from_before_the_field_still_load():
    with REFERENCE.open(encoding="utf-8") as lines:
        document = json.loads(next(lines))
    document.pop("skipped", None)
    assert Record.model_validate(document).skipped == {}


WITH_CLASSIFIER = tiny.TEXT.replace('["style-accuracy"]', '["style-accuracy", "diffusion-accuracy"]')


def test_a_class_that_the_model_does_not_know_is_a_reason(tmp_path):
    session = planned(tmp_path, WITH_CLASSIFIER)
    [record, *_] = run(replace(session, limit=1))
    assert (record.status, record.skipped) == (
        Status.OK,
        {"diffusion-accuracy": "mini-a has not learned the style of 'vellmar'"},
    )
    assert set(record.generations) == {"style-distance", "style-accuracy"}


def test_keys_name_the_model_that_classifies_and_only_where_one_does(tmp_path):
    [plain, asking] = [planned(tmp_path, text) for text in (tiny.TEXT, WITH_CLASSIFIER)]
    assert plain.cells[0].recipes.measure.classifier is None
    assert asking.cells[0].recipes.measure.classifier == asking.planner.digests.models["mini-a"]


def test_nothing_is_downloaded_before_a_run(tmp_path, monkeypatch):
    """Planning and building a pipeline look at what is here; only `run` asks for more."""

    def forbidden(metric):
        raise AssertionError(f"asked for the weights of {metric}")

    monkeypatch.setattr(weights, "obtain", forbidden)
    session = planned(tmp_path, WITH_DISTS)
    usable = weights.UsableMetrics(frozenset(), {})
    Pipeline(session.planner, session.store, session.environment, usable, session.device)
    with pytest.raises(AssertionError, match="asked for the weights"):
        run(session)


def test_planning_leaves_the_threads_of_this_process(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        session = planned(tmp_path, tiny.TEXT.replace("threads = 1", "threads = 3"))
        assert (session.environment.threads, torch.get_num_threads()) == (3, 2)
    finally:
        torch.set_num_threads(before)
