"""A merged folder brings nothing that is not checked: canaries, facts of suites, histories, files beside records."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from test_cells_intake import files

from cloakbench.errors import UserError
from cloakbench.metrics.spaces import SPACES
from cloakbench.runs.session import Session
from cloakbench.schemas.record import Record
from cloakbench.schemas.suite import Sampling, Suite
from cloakbench.store import key as keys
from cloakbench.store import reading
from cloakbench.store.features import StoredFeatures
from cloakbench.store.paths import CANARIES_FILE
from cloakbench.store.store import Store
from cloakbench.suites import load as suites
from cloakbench.upkeep import recompute, record_checks
from cloakbench.upkeep.adopt import adopt
from cloakbench.upkeep.merge import merge
from cloakbench.upkeep.recompute import Recomputer
from cloakbench.upkeep.verify import verify
from cloakbench_leaderboards.history import history

REFERENCE = Path(__file__).parents[2] / "leaderboards" / "reference" / "mini"
pytestmark = pytest.mark.usefixtures("stand_ins")


def record_of(store: Store, name: str) -> Record:
    return next(record for record in reading.load(store.root).records if record.protection.name == name)


def require_refused(source: Store, target: Path, words: str) -> None:
    assert any(words in problem for problem in verify(source.root).problems)
    with pytest.raises(UserError, match="faults"):
        merge([source.root], Store(target))
    assert not target.exists()


@pytest.mark.finding("D15")
@pytest.mark.parametrize(
    ("shape", "value", "words"),
    [((2, 7), 0.0, "x 7"), ((5, None), 0.0, "got 5 x"), ((2, None), np.nan, "NaN")],
)
def test_features_of_another_shape_are_named(
    shape: tuple[int, int | None],
    value: float,
    words: str,
    source: Store,
    tmp_path: Path,
) -> None:
    record = record_of(source, "good")
    name, env_class = keys.by_stage(record.components)["generate"], record.environment.env_class
    kept = source.read_features(name, env_class)["mini-clip"]
    values = np.full((shape[0], shape[1] or kept.values.shape[1]), value, np.float16)
    source.write_features(name, env_class, {"mini-clip": StoredFeatures(values, SPACES["mini-clip"].digest)})
    require_refused(source, tmp_path / "target", words)


@pytest.mark.finding("D12")
def test_a_forged_canary_is_refused(source: Store, tmp_path: Path) -> None:
    repeated = record_of(source, "identity").model_copy(update={"created": "2026-01-02T00:00:00+00:00"})
    good = record_of(source, "good").model_copy(update={"created": "2026-01-02T00:00:00+00:00"})
    forged = {
        "a reference to run again": good,
        "key of its recipe": repeated.model_copy(update={"key": good.key}),
        "values of the metric": repeated.model_copy(update={"generations": {"style-distance": [0.0]}}),
    }
    for words, record in forged.items():
        source.write_canary(record)
        require_refused(source, tmp_path / "target", words)
        shutil.rmtree(source.root / "canaries")
    source.write_canary(repeated)
    source.record_path(repeated.key, repeated.environment.env_class).unlink()
    require_refused(source, tmp_path / "target", "the record of the cell")


def test_a_damaged_line_of_canaries_is_named(source: Store, tmp_path: Path) -> None:
    source.write_canary(record_of(source, "identity"))
    reading.export_reference(source.root, None, tmp_path / "exported")
    assert verify(tmp_path / "exported").problems == []
    with (tmp_path / "exported" / CANARIES_FILE).open("a") as file:
        file.write("{}\n")
    [problem] = verify(tmp_path / "exported").problems
    assert problem.startswith(f"{CANARIES_FILE}:2")


@pytest.mark.finding("D12")
def test_a_history_stays_where_it_is_and_is_counted(source: Store, tmp_path: Path) -> None:
    assert history.add(history.read(REFERENCE)[:1], source.root) == 1
    target = Store(tmp_path / "target")
    assert merge([source.root], target).left_out == 1
    assert history.read(target.root) == []


@pytest.mark.finding("D12")
def test_nothing_is_put_beside_a_record_that_ran_here(good_run: Session, source: Store, tmp_path: Path) -> None:
    """A stranger has the same records as this store, which lacks their pictures and repetitions."""
    own = Store(tmp_path / "own")
    shutil.copytree(source.root, own.root)
    shutil.rmtree(own.root / "gallery")
    source.write_canary(record_of(source, "identity"))
    count = len(list((source.root / "gallery").rglob("*.webp")))
    done = merge([source.root], own)
    assert (done.records, done.left_out) == (0, count + 1)
    assert not [name for name in files(own.root) if name.startswith(("gallery/", "canaries/"))]


def test_files_of_no_record_are_left_out(source: Store, tmp_path: Path) -> None:
    path = source.gallery_path("ab" * 32, "0" * 12)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a picture of something else")
    target = Store(tmp_path / "target")
    assert merge([source.root], target).left_out == 1
    assert not target.gallery_path("ab" * 32, "0" * 12).exists()


def rewrite_facts(folder: Path, change: Callable[[dict], None]) -> None:
    path = folder / "facts.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.finding("D13")
def test_another_suite_under_a_known_name_is_refused(source: Store, reference: Path, tmp_path: Path) -> None:
    target = Store(tmp_path / "target")
    merge([source.root], target)
    before = files(target.root)
    rewrite_facts(reference, lambda facts: facts["suite"].update(title="Better"))
    with pytest.raises(UserError, match="as it is here, got another one"):
        merge([reference], target)
    assert files(target.root) == before


@pytest.mark.parametrize(("version", "is_taken"), [(99, False), (1, True)])
def test_a_suite_of_the_package_comes_in_an_older_version_alone(
    version: int,
    is_taken: bool,
    reference: Path,
    tmp_path: Path,
) -> None:
    rewrite_facts(reference, lambda facts: facts["suite"].update(name="mini", version=version))
    lines = (reference / "records.jsonl").read_text().splitlines()
    changed = []
    for line in lines:
        changed.append(json.dumps({**json.loads(line), "suite": "mini", "suite_version": version}))
    (reference / "records.jsonl").write_text("\n".join(changed) + "\n")
    with pytest.raises(UserError) as caught:  # seeds follow the suite's name, so that these records do not verify
        merge([reference], Store(tmp_path / "target"))
    assert ("seed of its suite" in caught.value.message) == is_taken


@pytest.mark.finding("D13")
def test_what_a_metric_means_is_not_the_strangers_to_say(reference: Path, tmp_path: Path) -> None:
    def turn(facts: dict) -> None:
        for metric in facts["metrics"]:
            metric["higher_is_better"] = not metric["higher_is_better"]
        for attack in facts["attacks"]:
            attack["ranked"] = False

    expected = suites.facts(reading.load(reference).facts.suite)
    rewrite_facts(reference, turn)
    target = Store(tmp_path / "target")
    merge([reference], target)
    assert reading.load(target.root).facts == expected


@pytest.mark.finding("D7")
@pytest.mark.parametrize("prompt", ["{token:>99999999999}", "{token!r}", "{token.__class__}", "{class_word[0]}"])
def test_a_prompt_has_no_format(prompt: str) -> None:
    with pytest.raises(ValidationError, match="placeholder"):
        Sampling(steps=1, guidance=1, prompts=[prompt], per_prompt=1)


@pytest.mark.finding("D8")
def test_a_suite_asks_for_a_bounded_number_of_finite_values(good_run: Session) -> None:
    with pytest.raises(ValidationError, match="generated images"):
        Sampling(steps=1, guidance=1, prompts=["a"], per_prompt=10**9)
    document = json.loads(good_run.suite.model_dump_json())
    text = json.dumps({**document, "strengths": [float("inf")]})
    with pytest.raises(ValidationError, match="finite"):
        Suite.model_validate_json(text)


@pytest.mark.finding("D10")
def test_a_folder_of_a_known_suite_has_its_recipes(good_run: Session, source: Store, tmp_path: Path) -> None:
    """A record says that it is of `noise`, and its recipe is that of `dreambooth`."""
    target = Store(tmp_path / "target")
    merge([good_run.store.root], target)
    record = record_of(source, "good")
    changed = record.attack.model_copy(update={"name": "noise"})
    source.write_record(record.model_copy(update={"attack": changed}))
    before = files(target.root)
    with pytest.raises(UserError, match=r"recipe of 'countermeasure'|facts of the attack"):
        merge([source.root], target)
    assert files(target.root) == before


@pytest.mark.finding("D2")
@pytest.mark.parametrize("name", ["records.jsonl", "facts.json", "canaries.jsonl", "pictures/x.webp"])
def test_a_pipe_in_a_folder_is_named_and_never_read(name: str, reference: Path, tmp_path: Path) -> None:
    path = reference / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    store = Store(tmp_path / "target")
    for act in (lambda: verify(reference), lambda: merge([reference], store), lambda: adopt(reference, None, store)):
        with pytest.raises(UserError, match="files and folders only"):
            act()
    assert not store.root.exists()


@pytest.mark.finding("D2")
def test_a_pipe_in_place_of_a_record_stops_no_reader(source: Store) -> None:
    path = next(source.records())
    path.unlink()
    os.mkfifo(path)
    loaded = reading.load(source.root)
    [line] = loaded.damaged
    assert "regular" in line.reason
    facts = next(iter(source.facts()))
    facts.unlink()
    os.mkfifo(facts)
    with pytest.raises(UserError, match="regular"):
        reading.load(source.root)


@pytest.mark.finding("D9")
@pytest.mark.parametrize("field", ["quality", "generations", "sets", "cost"])
def test_values_that_are_hardly_finite_are_refused(field: str, source: Store) -> None:
    document = json.loads(next(source.records()).read_text())
    large = 1.7e308
    document["cost"]["measure"]["wall_s"] = large if field == "cost" else 0.0
    if field != "cost":
        document[field] = {"psnr": large if field == "sets" else [large]}
    with pytest.raises(ValidationError, match="less_than_equal"):
        Record.model_validate(document)


@pytest.mark.finding("D18")
@pytest.mark.parametrize("alias", ["sdxl", "/etc", "../.."])
def test_nothing_is_fetched_for_a_record(alias: str, good_run: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    record = record_of(good_run.store, "good")
    facts = record.protection.model_copy(update={"looked_into": [alias]})
    monkeypatch.setattr("cloakbench.models.registry.model_digest", lambda _alias: pytest.fail("looked up"))
    recomputer = Recomputer(good_run.store, good_run.suite)
    [problem] = recomputer.find_other_recipes(record.model_copy(update={"protection": facts}))
    assert "models of the suite" in problem


def test_a_fractional_step_may_round_up_to_the_next_level_and_no_further() -> None:
    records = reading.load(REFERENCE).records
    assert [record_checks.limits(record) for record in records if record_checks.limits(record)] == []
    fractional = 0
    for record in records:
        levels, allowed = 16 * record.strength, recompute.allowed_levels(record)
        if record.target is None or record.protection.name != "photoguard" or allowed is None:
            continue
        assert levels - 1e-4 <= allowed < levels + 1
        fractional += allowed > levels + 0.01
        more = record.model_copy(update={"quality": {**record.quality, "linf": [allowed + 1.0]}})
        [problem] = record_checks.limits(more)
        assert f"at most {allowed} levels, got {allowed + 1}" in problem
    assert fractional > 10
