"""Searches for strengths that come with adopted records, as if they had run in the store."""

from __future__ import annotations

import json

import pytest
import tiny
from running import DIFFERENT, run

from cloakbench.cells.ordering import select
from cloakbench.schemas.kinds import Status
from cloakbench.store.origins import Verb
from cloakbench.store.reading import export_reference
from cloakbench.store.store import Store
from cloakbench.upkeep.adopt import adopt
from cloakbench.upkeep.merge import merge

ON_OWN_IMAGES = tiny.MATCHING.replace("tolerance", "own_images = true\ntolerance")


class InFives(tiny.Brighter):
    """Changes by 5, 10 or 15 levels only, so that a limit of 8 levels needs a fractional step; counts its calls."""

    def __init__(self):
        self.calls = 0

    def protect(self, images, request):
        self.calls += 1
        levels = int(request.epsilon * 255) // 5 * 5
        return (images + levels / 255).clamp(0, 1)


class FailsAfterTheSearch(InFives):
    """Fails on all three images of the artist; a search shows it one image of an artist."""

    def protect(self, images, request):
        if len(images) == 3:
            raise ValueError("three images")
        return super().protect(images, request)


@pytest.fixture(params=[tiny.MATCHING, ON_OWN_IMAGES], ids=["on other artists", "on own images"])
def planned(request, stand_ins, tmp_path):
    """Plans a run of calibrated cells of one attack into a store of that name."""
    path = tmp_path / "tiny.toml"
    path.write_text(tiny.TEXT + request.param)

    def plan(store, attack, protection):
        session = tiny.session(path, tmp_path / store, [tiny.entry("fives", protection)])
        cells = select(session.cells, [f"attack={attack}", "protection=fives"])
        session.cells[:] = [cell for cell in cells if cell.target is not None]
        return session

    return plan


def searches(store):
    """The bytes of each search in a store, by path."""
    return {
        path.relative_to(store.root).as_posix(): path.read_bytes()
        for path in store.stage_files()
        if path.relative_to(store.root).parts[0] == "calibrations"
    }


def adopted(store, tmp_path):
    """A store that has adopted the reference folder of another one."""
    export_reference(store.root, None, tmp_path / "reference")
    fresh = Store(tmp_path / "fresh")
    assert adopt(tmp_path / "reference", None, fresh).searches == len(searches(store)) > 0
    return fresh


def without_times(record):
    return {name: value for name, value in record.model_dump().items() if name not in DIFFERENT}


def test_adopted_searches_are_those_that_ran_and_a_further_cell_needs_no_search(planned, tmp_path):
    first = planned("first", "dreambooth", InFives())
    run(first)
    fresh = adopted(first.store, tmp_path)
    assert searches(fresh) == searches(first.store)
    # A further attack on both stores: the same record, but nothing is sought again.
    protection = InFives()
    [further] = run(planned("fresh", "noise", protection))
    [expected] = run(planned("first", "noise", InFives()))
    assert without_times(further) == without_times(expected)
    assert protection.calls == 1  # the protected images alone, which records do not hold
    assert further.cost["calibrate"].cached
    assert further.quality["linf"] == [pytest.approx(8.0, abs=3.0)] * 3
    assert searches(fresh) == searches(first.store)


def test_a_search_whose_images_failed_has_no_fractional_step_until_a_newer_record_has_one(planned, tmp_path):
    first = planned("first", "dreambooth", FailsAfterTheSearch())
    [failed] = run(first)
    assert failed.status is not Status.OK
    before = searches(first.store)
    fresh = adopted(first.store, tmp_path)
    assert searches(fresh) == before
    [document] = map(json.loads, before.values())
    assert document["tries"] == [list(one_try) for one_try in failed.calibration] != []
    assert document["fitted"] is None
    run(planned("first", "noise", InFives()))
    again = Store(tmp_path / "again")
    adopt(first.store.root, None, again)
    assert searches(again) == searches(first.store)


def test_searches_of_merged_records_are_left_and_own_ones_are_kept(planned, tmp_path):
    first = planned("first", "dreambooth", InFives())
    run(first)
    merged = Store(tmp_path / "merged")
    merge([first.store.root], merged)
    target = Store(tmp_path / "target")
    assert adopt(merged.root, None, target).searches == 0
    assert searches(target) == {}
    # What a store has stays as it is; what it adopted counts as adopted.
    assert adopt(first.store.root, None, target).searches == 1
    [path] = searches(target)
    _, _, key, file = path.split("/")
    env_class = file.removesuffix(".json")
    assert target.read_origin(key, env_class).verb is Verb.ADOPT
    (target.root / path).write_text(json.dumps({"tries": []}))
    assert adopt(first.store.root, None, target).searches == 0
    assert target.read_calibration(key, env_class).tries == []
