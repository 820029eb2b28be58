"""Official runs: the salt, and what has to be there before anything begins."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import tiny
from running import run

from cloakbench.cells import stages
from cloakbench.cells.plan import PlannedEntry
from cloakbench.errors import UserError
from cloakbench.runs import official
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Role
from cloakbench.store import seeds
from cloakbench.submissions import checking
from cloakbench.submissions.checking import Card, ScoreCardLine
from cloakbench.submissions.sandbox import bubblewrap
from cloakbench.submissions.sandbox.client import SandboxedSubmission

pytestmark = pytest.mark.usefixtures("stand_ins")
SALT = "0123456789abcdef-secret"


@pytest.fixture
def salt_file(tmp_path):
    path = tmp_path / "salt.txt"
    path.write_text(f"{SALT}\n")
    return path


@pytest.fixture
def planned(tiny_suite, tmp_path, salt_file):
    """An official run of one cell from a clean commit."""
    session = sessions.plan(Choice(str(tiny_suite), ["placebo"], salt_file=salt_file), tmp_path / "store")
    clean = session.environment.model_copy(update={"commit": "c" * 40, "dirty": False})
    return replace(session, environment=clean, cells=session.cells[:1])


@pytest.fixture
def nothing_runs(monkeypatch):
    monkeypatch.setattr(stages.Stages, "__init__", lambda *_: pytest.fail("a stage was prepared"))


def without_weights(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_salt_is_read_without_white_space_and_public_is_the_default(salt_file):
    assert official.read_salt(salt_file) == SALT
    assert official.read_salt(None) == "public"
    salt_file.write_text(SALT, encoding="utf-8-sig")  # as Notepad saves it
    assert official.read_salt(salt_file) == SALT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"short\n", "at least 16 characters in .*, got 5"),
        (b"\xff" * 40, "expected a text file with a salt"),
        (None, "expected a text file with a salt, got .*No such file"),
    ],
)
def test_a_wrong_salt_is_explained(tmp_path, content, message):
    path = tmp_path / "salt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        official.read_salt(path)


def test_a_salt_changes_what_the_mimic_draws_and_never_the_protection(planned, tiny_suite, tmp_path):
    public = sessions.plan(Choice(str(tiny_suite), ["placebo"]), tmp_path / "store")
    [cell], other = planned.cells, public.cells[0]
    assert cell.keys["protect"] == other.keys["protect"]
    assert cell.recipes.personalise.seed != other.recipes.personalise.seed
    assert cell.recipes.generate.seed != other.recipes.generate.seed


def test_an_official_record_shows_the_digest_of_its_salt(planned):
    [record] = run(planned)
    assert record.salt_digest == seeds.salt_digest(SALT)
    assert SALT not in record.model_dump_json()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dirty": True}, "expected an official run from a clean commit, got changes on cccccccccccc"),
        ({"commit": ""}, "expected an official run from a clean commit, got no git repository"),
    ],
)
@pytest.mark.usefixtures("nothing_runs")
def test_an_official_run_needs_a_clean_commit(planned, changes, message):
    with pytest.raises(UserError, match=message):
        run(replace(planned, environment=planned.environment.model_copy(update=changes)))


@pytest.mark.usefixtures("nothing_runs")
def test_an_official_run_needs_the_weights_of_every_metric(planned, monkeypatch, tmp_path):
    without_weights(monkeypatch, tmp_path)
    metrics = planned.suite.metrics.model_copy(update={"quality": ["dists"]})
    with pytest.raises(UserError, match="expected the weights of every metric, got none for dists"):
        run(replace(planned, suite=planned.suite.model_copy(update={"metrics": metrics})))


@pytest.mark.usefixtures("nothing_runs", "sd_stand_ins")
def test_an_official_run_needs_every_model_in_the_lock(planned):
    attack = planned.suite.attacks[0].model_copy(update={"model": "sd15"})
    with pytest.raises(UserError, match=r"expected every model in the lock file .*got none of sd15"):
        run(replace(planned, suite=planned.suite.model_copy(update={"attacks": [attack]})))


@pytest.mark.usefixtures("nothing_runs")
def test_an_official_run_takes_only_what_check_takes(planned, monkeypatch):
    entry = PlannedEntry(
        planned.cells[0].entry.facts.model_copy(update={"name": "cloak", "role": Role.SUBMISSION}),
        SandboxedSubmission("cloak"),
    )
    session = replace(planned, cells=[replace(planned.cells[0], entry=entry)])
    asked = []

    def card(spelling):
        asked.append(spelling)
        lines = [
            ScoreCardLine("same seed, same bytes", False, "two runs differ by 3 levels"),
            ScoreCardLine("look", False, "x", False),
        ]
        return Card(spelling, "process", lines)

    monkeypatch.setattr(checking, "check", card)
    monkeypatch.setattr(bubblewrap, "kind", lambda: "process")
    with pytest.raises(UserError, match=r"expected bubblewrap .* against accidents, not against intent"):
        run(session)
    monkeypatch.setattr(bubblewrap, "kind", lambda: "bubblewrap")
    with pytest.raises(UserError, match=r"accepts, got cloak: same seed, same bytes: two runs differ by 3 levels\n"):
        run(session)
    assert asked == ["cloak"]


@pytest.mark.usefixtures("nothing_runs")
def test_any_run_needs_the_weights_that_every_score_is_made_of(tmp_path, monkeypatch):
    without_weights(monkeypatch, tmp_path)
    (tmp_path / "clip.toml").write_text(tiny.TEXT.replace('"style-distance"', '"clip-distance"'))
    session = sessions.plan(Choice(str(tmp_path / "clip.toml"), ["placebo"]), tmp_path / "store")
    with pytest.raises(UserError, match=r"got none for clip-distance: weights missing: ViT-B-32\.pt"):
        run(session)


def test_the_command_line_takes_a_salt(cloakbench, tiny_suite, salt_file, tmp_path):
    asked = (tiny_suite, "--protection", "placebo", "--salt-file", salt_file, "--store", tmp_path / "s", "--json")
    result = cloakbench("run", *asked, "--dry-run")
    assert (result.code, json.loads(result.out)["missing"]) == (0, json.loads(result.out)["cells"])
    assert cloakbench("status", *asked).code == 0
    salt_file.write_text("short")
    result = cloakbench("run", *asked)
    assert (result.code, result.out) == (2, "")
    assert "expected a salt of at least 16 characters" in result.err
