from __future__ import annotations

import pytest
import synthetic
from synthetic import FLOOR, LORA, PLAIN, TRANSFER, record

from cloakbench.errors import UserError
from cloakbench.schemas.suite import Seeds
from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.scores import gold
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.site import site

NAMES = [f"artist{n}" for n in range(6)]
WOBBLE = [0.004, -0.004, 0.003, -0.003, 0.002, -0.002]
"""Of each artist; its mean is 0."""


def arms_of(number, seed, attack=PLAIN, **moved):
    """The controls of one artist at one seed: clean 0.3, floor 1.0, placebo within noise of clean."""
    floor = FLOOR.model_copy(update={"mimicry": attack.mimicry, "model": attack.model})
    wobble = WOBBLE[number] * (1 if seed else -1)
    placebo = 0.3 + wobble + moved.get("placebo", 0.0)
    drawn = 1.0 + wobble + (moved.get("floor", 0.0) if seed else 0.0)
    return [
        record("identity", NAMES[number], moved.get("clean", 0.3), attack, seed=seed),
        record("placebo", NAMES[number], placebo, attack, seed=seed),
        record("floor", NAMES[number], drawn, floor, seed=seed),
    ]


def gold_run(**moved):
    records = []
    for n in range(6):
        for seed in range(2):
            records += arms_of(n, seed, **moved)
    records += [record("random-noise", name, 0.3 + moved.get("noise", 0.07)) for name in NAMES]
    return [*records, *(record("x", name, 0.6) for name in NAMES)]


def suite(**changes):
    fields = {"seeds": Seeds(protected=1, controls=2), "random_noise_band": (0.0, 0.2)}
    return synthetic.suite(changes.pop("artists", NAMES), changes.pop("attacks", (PLAIN,)), **(fields | changes))


def failed(records, plan=None):
    conditions = gold.checks(gather(Loaded(synthetic.facts(plan or suite()), records, [])))
    return {check.name: check.words for check in conditions if check.verdict is not gold.GoldVerdict.HOLDS}


def refusal(tmp_path, records, plan=None):
    store = synthetic.save(tmp_path / "store", synthetic.facts(plan or suite()), records)
    with pytest.raises(UserError) as error:
        site.build(store, tmp_path / "site")
    assert not (tmp_path / "site").exists()
    page = site.build(store, tmp_path / "site", unofficial=True).read_text()
    assert "Unofficial. Of 6 checks" in page
    return str(error.value)


def test_a_gold_run_that_holds_makes_an_official_board(tmp_path):
    assert failed(gold_run()) == {}
    store = synthetic.save(tmp_path / "store", synthetic.facts(suite()), gold_run())
    page = site.build(store, tmp_path / "site").read_text()
    assert "All conditions hold" in page
    assert "Unofficial" not in page


def test_missing_controls_are_refused(tmp_path):
    records = gold_run()
    records.remove(next(r for r in records if r.protection.name == "placebo" and r.seed == 1))
    assert failed(records) == {
        "References complete": "Cells of the references are missing, 1 in all: placebo against dreambooth."
    }
    assert "are missing, 1 in all" in refusal(tmp_path, records)


def test_a_placebo_that_protects_is_refused(tmp_path):
    # 0.05 / 0.7 = 0.07 on every artist, with a noise of 0.003: outside
    records = gold_run(placebo=0.05)
    assert list(failed(records)) == ["Placebo does not protect"]
    assert "not within noise of 0 against dreambooth" in refusal(tmp_path, records)


def test_a_refusal_has_a_line_for_each_condition_that_fails(tmp_path):
    records = gold_run(floor=0.1, placebo=0.05)
    conditions = failed(records)
    head, *lines, advice = refusal(tmp_path, records).splitlines()
    assert head == f"expected checks with known answers that hold, got {len(conditions)} that do not:"
    assert lines == [f"  {name}: {words}" for name, words in conditions.items()]
    assert len(lines) > 1
    assert "--unofficial" in advice


def test_absent_references_are_named_up_to_five_and_counted():
    attacks = tuple(PLAIN.model_copy(update={"name": f"attack-{n}", "mimicry": f"attack-{n}"}) for n in range(7))
    words = failed(gold_run(), suite(attacks=(PLAIN, *attacks)))["References complete"]
    assert words.count("attack-") == 5
    assert "and 16 more" in words


def test_a_floor_that_comes_out_otherwise_is_refused(tmp_path):
    records = gold_run(floor=0.1)
    assert failed(records) == {"Floor drawn again": "2 of 2 draws are not within noise of 1."}
    assert "draws are not within noise of 1" in refusal(tmp_path, records)


def test_a_floor_drawn_once_is_refused():
    once = suite(seeds=Seeds(protected=1, controls=1))
    conditions = failed([cell_record for cell_record in gold_run() if cell_record.seed == 0], once)
    words = "It was drawn once only for dreambooth on mini-a."
    assert conditions == {"Floor drawn again": words, "Clean arm drawn again": words}


@pytest.mark.parametrize(("band", "noise"), [((0.0, 0.2), 0.2), ((0.2, 0.3), 0.07)])
def test_random_noise_outside_of_its_band_is_refused(tmp_path, band, noise):
    # P = noise / 0.7: 0.286 and 0.1
    records, plan = gold_run(noise=noise), suite(random_noise_band=band)
    assert list(failed(records, plan)) == ["Random noise in its band"]
    assert f"the band {band[0]:g} to {band[1]:g}" in refusal(tmp_path, records, plan)


def test_a_suite_without_a_band_and_a_run_without_random_noise_are_refused():
    assert failed(gold_run(), suite(random_noise_band=None)) == {
        "Random noise in its band": "The suite records no band for it."
    }
    without = []
    for cell_record in gold_run():
        if cell_record.protection.name != "random-noise":
            without.append(cell_record)
    assert "was not measured" in failed(without)["Random noise in its band"]


def test_an_attack_that_learns_from_few_is_refused(tmp_path):
    # On mini-b the floor is where clean is, so that nothing was learned.
    records = gold_run()
    for n in range(6):
        for s in range(2):
            records += arms_of(n, s, TRANSFER, clean=1.0, placebo=0.7)
    plan = suite(attacks=(PLAIN, TRANSFER))
    assert failed(records, plan) == {
        "Attacks learn": "Too few of 6 artists were learned from by dreambooth on mini-b (0)."
    }
    assert "dreambooth on mini-b (0)" in refusal(tmp_path, records, plan)


def test_an_attack_that_has_not_run_is_not_said_to_learn_from_no_artist():
    words = failed(gold_run(), suite(attacks=(PLAIN, TRANSFER)))["Attacks learn"]
    assert words == "Not run on enough artists to know it: dreambooth on mini-b."


@pytest.mark.parametrize("changes", [{"demonstration": True}, {"dataset": "folder", "artists": []}])
def test_demonstrations_and_folders_have_no_gold_run(tmp_path, changes):
    plan = suite(random_noise_band=None, **changes)
    store = synthetic.save(tmp_path / "store", synthetic.facts(plan), gold_run())
    assert 'id="gold"' not in site.build(store, tmp_path / "site").read_text()


def test_below_six_artists_no_gold_run_holds():
    few = [cell_record for cell_record in gold_run() if cell_record.artist in NAMES[:5]]
    assert "Attacks learn" in failed(few, suite(artists=NAMES[:5]))


@pytest.mark.parametrize(("is_shared", "floors"), [(True, 2), (False, 4)])
def test_floors_that_are_the_same_images_are_counted_once(is_shared, floors):
    records = gold_run() + [arm for n in range(6) for seed in range(2) for arm in arms_of(n, seed, LORA)]
    drawn = []
    for record_ in records:
        mimicry = "" if is_shared else record_.attack.mimicry
        images = [f"{record_.artist} {record_.seed} {mimicry}"] if record_.protection.role == "floor" else []
        drawn.append(record_.model_copy(update={"digests": {"generate": images}}))
    board = gather(Loaded(synthetic.facts(suite(attacks=(PLAIN, LORA))), drawn, []))
    words = {condition.name: condition.words for condition in gold.checks(board)}
    assert words["Floor drawn again"].startswith(f"All {floors} draws")
    assert words["Clean arm drawn again"].startswith("All 4 draws")


def test_a_clean_arm_that_moves_by_more_than_noise_is_refused():
    records = []
    for number, record_ in enumerate(gold_run()):
        if record_.protection.role == "identity" and record_.seed == 1:
            moved = {}
            for name, v in record_.generations.items():
                moved[name] = [value - 0.1 - number % 7 / 1e4 for value in v]
            record_ = record_.model_copy(update={"generations": moved})
        records.append(record_)
    assert "Clean arm drawn again" in failed(records, suite())


def test_a_check_without_runs_is_not_known_and_not_said_to_fail(tmp_path):
    records = [record_ for record_ in gold_run() if record_.protection.name != "random-noise"]
    conditions = gold.checks(gather(Loaded(synthetic.facts(suite()), records, [])))
    assert gold.overall(conditions) is gold.GoldVerdict.UNKNOWN
    assert {check.name for check in conditions if check.verdict is gold.GoldVerdict.UNKNOWN} == {
        "Random noise in its band"
    }
    store = synthetic.save(tmp_path / "store", synthetic.facts(suite()), records)
    page = site.build(store, tmp_path / "site", unofficial=True).read_text()
    assert "Of 6 checks with known answers, 1 is not known yet: “random noise in its band”." in page
    assert "not all are known yet" in page
    assert "does not hold" not in page


def test_a_placebo_on_too_few_artists_is_not_known():
    few = [r for r in gold_run() if r.protection.name != "placebo" or r.artist in NAMES[:2]]
    conditions = gold.checks(gather(Loaded(synthetic.facts(suite()), few, [])))
    verdicts = {check.name: check.verdict for check in conditions}
    assert verdicts["Placebo does not protect"] is gold.GoldVerdict.UNKNOWN
