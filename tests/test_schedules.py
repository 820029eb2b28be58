"""The ready files for cron, systemd and GitHub: they parse, and what they call is a refresh that exists."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from cloakbench import cli

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "leaderboards" / "schedules"
WORKFLOW = ROOT / ".github" / "workflows" / "refresh.yml"


def unit(name):
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str
    parser.read_string((FOLDER / name).read_text())
    return parser


def workflow():
    return yaml.safe_load(WORKFLOW.read_text())


def calls():
    """Every refresh that one of the files makes, as arguments."""
    texts = [unit("cloakbench-refresh.service")["Service"]["ExecStart"]]
    for step in workflow()["jobs"]["refresh"]["steps"]:
        if "refresh" in step.get("run", ""):
            texts.append(step["run"])
    texts += re.findall(r"cloakbench refresh [^`>]*", (FOLDER / "README.md").read_text())
    return [shlex.split(text.partition("cloakbench refresh ")[2].replace("$SUITE", "mini")) for text in texts]


def test_every_call_is_one_that_the_command_line_takes():
    verb_calls = calls()
    assert len(verb_calls) == 6
    for arguments in verb_calls:
        command, bound, *_ = cli.app.parse_args(["refresh", *arguments])
        assert command.__name__ == "refresh"
        assert bound.arguments["suite"] in {"mini", "SUITE"}


def test_the_workflow_runs_weekly_one_at_a_time_and_keeps_the_store_whatever_happens():
    document = workflow()
    triggers = document[True]  # YAML 1.1 reads `on` so
    [schedule] = triggers["schedule"]
    assert re.fullmatch(r"\d+ \d+ \* \* \d", schedule["cron"])
    assert document["concurrency"]["cancel-in-progress"] is False
    assert document["permissions"] == {"contents": "read"}
    steps = document["jobs"]["refresh"]["steps"]
    saved = next(step for step in steps if step.get("uses", "").startswith("actions/cache/save"))
    assert saved["if"] == "always()"
    restored = next(step for step in steps if step.get("uses", "").startswith("actions/cache/restore"))
    assert saved["with"]["path"] == restored["with"]["path"] == "results"
    for step in steps:
        assert ("run" in step) != ("uses" in step)


def test_the_units_belong_together():
    service, timer = unit("cloakbench-refresh.service"), unit("cloakbench-refresh.timer")
    assert service["Service"]["Type"] == "oneshot"
    assert timer["Timer"]["Persistent"] == "true"
    assert timer["Install"]["WantedBy"] == "timers.target"
    assert service["Service"]["WorkingDirectory"] in service["Service"]["ReadWritePaths"].split()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_reads_the_time(tmp_path):
    when = unit("cloakbench-refresh.timer")["Timer"]["OnCalendar"]
    done = subprocess.run(["systemd-analyze", "calendar", when], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name in ("cloakbench-refresh.service", "cloakbench-refresh.timer"):
        text = (FOLDER / name).read_text().replace("/srv/cloakbench/.venv/bin/cloakbench", "/bin/true")
        (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / "cloakbench-refresh.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if "cloakbench-refresh" in line]
    assert said == [], "unknown settings would be named"
