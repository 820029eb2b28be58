"""A run in too little memory: the same numbers with less at once, said in the record; else the status `oom`."""

from __future__ import annotations

import cramped
import pytest
import tiny
from running import run

from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench_leaderboards.data import frames

TEXT = tiny.WHOLE.replace("batch = 2\nlearning_rate = 3e-4", "batch = 4\nlearning_rate = 3e-4")


@pytest.fixture(scope="module")
def ample(weights, tmp_path_factory):
    """The same run with memory for everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOAKBENCH_MODELS", str(weights))
        return ran(tmp_path_factory.mktemp("ample"))


def ran(folder):
    (folder / "tiny.toml").write_text(TEXT)
    session = sessions.plan(Choice(str(folder / "tiny.toml"), ["placebo"], only=["protection=placebo"]), folder / "s")
    run(session)
    return {cell.attack.name: session.finished(cell) for cell in session.cells}, session


@pytest.mark.usefixtures("stand_ins")
def test_a_run_with_less_at_once_has_the_same_numbers(ample, tmp_path):
    with cramped.room(unet=2) as refused:
        records, session = ran(tmp_path)
    assert refused
    for name, address in records.items():
        expected = ample[0][name]
        assert (address.status, address.key) == (Status.OK, expected.key)
        assert address.components == expected.components  # the training batch is part of the recipe
        for metric, values in {**expected.quality, **expected.generations}.items():
            assert {**address.quality, **address.generations}[metric] == pytest.approx(values, rel=1e-3, abs=1e-3)
    chunks = {}
    for name, r in records.items():
        for stage, cost in r.cost.items():
            if cost.chunk:
                chunks[name, stage] = cost.chunk
    assert chunks == {
        ("dreambooth", "personalise"): 2,
        ("noise", "personalise"): 2,
        **{(name, "generate"): 1 for name in ("dreambooth", "noise", "chain", "edit")},
        ("edit", "clean-edit"): 1,
    }
    for record in ample[0].values():
        for cost in record.cost.values():
            assert cost.chunk is None
    assert session.missing() == []


@pytest.mark.usefixtures("stand_ins")
def test_where_one_image_does_not_fit_the_cell_says_so_and_no_submission_is_blamed(tmp_path):
    with cramped.room(unet=1):
        records, session = ran(tmp_path)
    record = records["dreambooth"]
    assert record.status is Status.OOM
    assert "expected one image at a time to fit into memory, got CUDA out of memory" in record.reason
    assert "OutOfMemoryError" in record.traceback
    assert record.cost["personalise"].chunk == 1
    assert session.missing() == []  # it would run out again
    standings = frames.places(list(records.values()))["status"]
    assert set(standings) == {"oom in the attack"}


def test_a_submission_that_runs_out_itself_is_still_blamed(ample):
    blamed: Record = ample[0]["dreambooth"].model_copy(update={"status": Status.OOM, "digests": {}})
    assert list(frames.places([blamed])["status"]) == ["oom"]
