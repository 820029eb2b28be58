"""Calibrated operating points: their keys, and what a run keeps of the search."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace

import pytest
import tiny
from running import Quiet, run, told

from cloakbench import Protection
from cloakbench.cells import stages
from cloakbench.cells.ordering import select
from cloakbench.cells.plan import PlannedEntry, Planner
from cloakbench.errors import UserError
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.runs.rescore import rescore
from cloakbench.schemas.kinds import BudgetKind, Status


class Fixed(Protection):
    """Adds so many levels, whatever the strength."""

    title = "Fixed"
    budget = "perceptual"

    def __init__(self, levels):
        self.levels = levels

    def protect(self, images, request):
        return (images + self.levels / 255).clamp(0, 1)


class Failing(Protection):
    title = "Failing"

    def protect(self, images, request):
        raise RuntimeError("no plan")


class Counting(tiny.Brighter):
    """Counts its calls, and is stopped at one of them."""

    def __init__(self, stop=None):
        self.calls, self.stop = 0, stop

    def protect(self, images, request):
        self.calls += 1
        if self.calls == self.stop:
            raise KeyboardInterrupt
        return super().protect(images, request)


def planner(**changes):
    suite = tiny.suite(matching={**tomllib.loads(tiny.MATCHING)["matching"], **changes})
    return Planner(suite, tiny.DIGESTS, "public", [tiny.artist("swirl", 2)])


def cell(made, entry=None, artist="vellmar", attack="dreambooth"):
    entry = entry or tiny.entry("good")
    return made.cell(entry, None, tiny.artist(artist), made.suite.attack(attack), 0, made.suite.calibrated[0])


def test_every_role_gets_its_operating_points():
    perceptual = PlannedEntry(tiny.entry("free").facts.model_copy(update={"budget": BudgetKind.PERCEPTUAL}), Fixed(8))
    roles = ["identity", "placebo", "random-noise", "submission"]
    entries = [tiny.FLOOR_ENTRY, perceptual, *(tiny.entry(role, role=role) for role in roles)]
    points_by_entry = {}
    for name in ("free", "floor", *roles):
        points_by_entry[name] = {
            (c.strength, c.target) for c in planner().cells(entries, [tiny.artist()]) if c.entry.facts.name == name
        }
    both = {(0.5, None), (None, 8.0)}
    assert points_by_entry == {
        "free": {(None, 8.0)},
        "floor": {(0.0, None)},
        "identity": {(0.0, None)},
        "placebo": {(1.0, None)},
        "random-noise": both,
        "submission": both,
    }


def test_keys_are_known_before_the_strength_is():
    planned_cell = cell(planner())
    assert planned_cell.strength is None
    assert list(planned_cell.recipes.content()) == ["calibrate", "protect", "personalise", "generate", "measure"]
    assert planned_cell.recipes.protect.parents == {"calibrate": planned_cell.keys["calibrate"]}
    assert "strength" not in planned_cell.recipes.protect.content()
    assert planned_cell.label == "good@target=8 vellmar dreambooth seed 0"


def test_one_search_serves_all_artists_and_attacks():
    first = cell(planner())
    for other in (cell(planner(), artist="kirin"), cell(planner(), attack="noise")):
        assert other.keys["calibrate"] == first.keys["calibrate"]
    assert cell(planner(), attack="noise").keys["protect"] == first.keys["protect"]


@pytest.mark.parametrize(
    "other",
    [
        cell(planner(calibrated=[4.0])),
        cell(planner(tolerance=0.25)),
        cell(planner(metric="psnr")),
        cell(planner(gates={"psnr": [50, 40, 30]})),
        cell(planner(), tiny.entry("good", version="2.0")),
        cell(replace(planner(), calibration=[tiny.artist("swirl", 1)])),
    ],
    ids=["target", "tolerance", "metric", "gate", "version", "images"],
)
def test_what_the_search_depends_on_enters_every_key(other):
    first = cell(planner())
    for stage in first.keys:
        assert other.keys[stage] != first.keys[stage]


def test_attacks_draw_as_at_any_strength():
    plain = planner().cell(tiny.entry("good"), 0.5, tiny.artist(), planner().suite.attack("dreambooth"), 0)
    sought = cell(planner()).recipes
    assert sought.personalise.seed == plain.recipes.personalise.seed
    assert sought.generate.seed == plain.recipes.generate.seed


def test_a_target_is_selected_like_any_field():
    cells = planner().cells([tiny.entry("good")], [tiny.artist()])
    assert {c.target for c in select(cells, ["target=8"])} == {8.0}
    assert {c.strength for c in select(cells, ["strength=0.50"])} == {0.5}
    with pytest.raises(UserError, match=r"expected target of 8, got 4"):
        select(cells, ["target=4"])


@pytest.fixture
def calibrated(stand_ins, tmp_path):
    """Plans a run of one attack with the given entries and a target of 8 levels."""
    path = tmp_path / "tiny.toml"

    def planned(*entries, gates=""):
        path.write_text(tiny.TEXT + tiny.MATCHING + gates)
        session = tiny.session(path, tmp_path / "store", entries)
        names = {entry.facts.name for entry in entries}
        kept = []
        for c in session.cells:
            if c.entry.facts.name in names and c.attack.name == "dreambooth":
                kept.append(c)
        return replace(session, cells=kept)

    return planned


def at_target(session, name):
    [target_cells] = [c for c in session.cells if c.entry.facts.name == name and c.target]
    return session.store.read_record(target_cells.key, session.environment.env_class)


def test_a_run_finds_the_strength_and_records_how(calibrated):
    session = calibrated(tiny.entry("good"))
    assert len(run(session)) == 2
    record = at_target(session, "good")
    # 16 levels at strength 1, 8 at strength 0.5
    assert (record.strength, record.target) == (0.5, 8.0)
    assert record.calibration == [(1.0, {"linf": 16.0}), (0.5, {"linf": 8.0})]
    assert record.quality["linf"] == [8.0] * 3
    assert record.cost["calibrate"].cached
    assert record.cost["calibrate"].wall_s > 0
    plain = session.store.read_record(session.cells[0].key, session.environment.env_class)
    assert (plain.strength, plain.target, plain.calibration) == (0.5, None, [])
    assert plain.generations == record.generations


def test_a_gate_stops_the_search_where_the_target_does_not(calibrated):
    # psnr is 36.1 dB where all pixels differ by 4 levels, and 38.6 by 3
    session = calibrated(tiny.entry("good"), gates="[matching.gates]\npsnr = [40.0, 38.0, 30.0]\n")
    run(session)
    record = at_target(session, "good")
    assert record.quality["linf"] == [3.0] * 3
    tries = {round(strength * 64): quality for strength, quality in record.calibration}
    at = round(record.strength * 64)
    assert tries[at]["psnr"] >= 38 > tries[at + 1]["psnr"]
    for quality in tries.values():
        assert quality.keys() == {"linf", "psnr"}


def test_all_strengths_are_sought_before_anything_is_learned(calibrated, monkeypatch):
    order = []
    imitate = stages.Stages.imitate
    monkeypatch.setattr(stages.Stages, "imitate", lambda *a: (order.append("learn"), imitate(*a))[1])

    class OrderReporter(Quiet):
        def say(self, text):
            order.append(text)

    sessions.run(calibrated(tiny.entry("good"), tiny.entry("other")), report=OrderReporter())
    assert order[:2] == ["calibrating good to target 8", "calibrating other to target 8"]
    assert order[2:] == ["learn"] * 4


def test_a_search_is_made_once_and_goes_on_where_it_was_stopped(calibrated):
    whole = Counting()
    session = calibrated(tiny.entry("good", whole))
    run(session)
    # two tries on two artists, and two cells
    assert whole.calls == 2 * 2 + 2
    before = told(session.store)

    [path] = (session.store.root / "calibrations").glob("*/*/*.json")
    whole_search = json.loads(path.read_bytes())
    for record in session.store.records():
        record.unlink()
    run(calibrated(tiny.entry("good", again := Counting())))
    assert again.calls == 0
    assert told(session.store) == before

    path.write_text(json.dumps({**whole_search, "tries": whole_search["tries"][:1]}))
    for record in session.store.records():
        record.unlink()
    run(calibrated(tiny.entry("good", again := Counting())))
    assert again.calls == 2
    assert told(session.store) == before


def test_a_damaged_search_is_made_again(calibrated):
    session = calibrated(tiny.entry("good"))
    run(session)
    before = told(session.store)
    [path] = (session.store.root / "calibrations").glob("*/*/*.json")
    path.write_text("{")
    for record in session.store.records():
        record.unlink()
    run(session)
    assert told(session.store) == before


def test_an_interrupted_search_has_kept_its_tries(calibrated):
    session = calibrated(tiny.entry("good", Counting(stop=4)))
    with pytest.raises(KeyboardInterrupt):
        run(session)
    [path] = (session.store.root / "calibrations").glob("*/*/*.json")
    assert json.loads(path.read_bytes())["tries"] == [[1.0, {"linf": 16.0}]]
    assert list(session.store.records()) == []


def test_a_fault_while_calibrating_is_the_cells_and_others_go_on(calibrated):
    session = calibrated(tiny.entry("bad", Failing()), tiny.entry("good"))
    run(session)
    bad = at_target(session, "bad")
    assert (bad.status, bad.strength, bad.calibration) == (Status.FAILED, 0.0, [])
    assert "RuntimeError: no plan" in bad.reason
    assert bad.traceback
    assert at_target(session, "good").status is Status.OK


@pytest.mark.parametrize(
    ("levels", "reason"),
    [
        (3, "target 8 not reached: at strength 1 linf is 3"),
        (20, "target 8 not met: even at strength 1/64 linf is 20"),
    ],
)
def test_a_protection_that_cannot_meet_the_target_is_skipped(calibrated, levels, reason):
    free = tiny.entry("free", Fixed(levels))
    session = calibrated(PlannedEntry(free.facts.model_copy(update={"budget": BudgetKind.PERCEPTUAL}), free.instance))
    [record] = run(session)
    assert (record.status, record.reason, record.strength) == (Status.SKIPPED, reason, 0.0)
    assert record.calibration[0] == (1.0, {"linf": float(levels)})
    assert record.generations == {}
    assert sessions.failed(session.counts()) == 0
    assert run(session) == []


def test_a_suite_without_calibration_has_no_place_for_protections_without_a_limit(calibrated, tmp_path, monkeypatch):
    calibrated()
    free = PlannedEntry(tiny.entry("free").facts.model_copy(update={"budget": BudgetKind.PERCEPTUAL}), Fixed(8))
    monkeypatch.setattr(sessions, "entries", lambda *_: [tiny.FLOOR_ENTRY, free])
    (tmp_path / "plain.toml").write_text(tiny.TEXT)
    with pytest.raises(UserError, match="expected a suite that calibrates strengths for free, got 'tiny'"):
        sessions.plan(Choice(str(tmp_path / "plain.toml"), ["free"]), tmp_path / "store")
    for name, count in (("plain", 1), ("tiny", 3)):
        assert len(sessions.plan(Choice(str(tmp_path / f"{name}.toml")), tmp_path / "store").cells) == count


def test_rescore_knows_calibrated_records(calibrated, tmp_path):
    session = calibrated(tiny.entry("good"))
    run(session)
    done = rescore(str(tmp_path / "tiny.toml"), session.store.root)
    assert (done.written, done.current, done.other) == (0, 2, 0)


def test_images_that_exist_already_stand_at_strengths_alone():
    facts = tiny.entry("stored").facts.model_copy(update={"budget": BudgetKind.READY_MADE})
    row_cells = planner().cells([PlannedEntry(facts, Fixed(8))], [tiny.artist()])
    assert {(c.strength, c.target) for c in row_cells} == {(0.5, None)}
