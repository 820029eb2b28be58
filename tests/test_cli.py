from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloakbench import submissions
from cloakbench.listing import KINDS
from cloakbench.runs import session as sessions
from cloakbench.runs.entries import entries

HEAVY = ("torch", "diffusers", "transformers", "peft", "open_clip", "pyiqa", "pandas", "scipy", "sklearn")
RUN = ("--protection", "placebo", "--store")
IMAGES = str(Path(submissions.__file__).parents[1] / "datasets" / "mini" / "vellmar" / "images")
REFERENCE = str(Path(__file__).parents[1] / "leaderboards" / "reference" / "mini")


def test_kinds_are_listed_with_name_and_version(cloakbench):
    for kind in ("protections", "attacks", "metrics", "suites", "models"):
        result = cloakbench("list", kind, "--json")
        items = json.loads(result.out)
        assert result.code == 0
        assert items
        for item in items:
            assert {"name", "version"} <= item.keys()
            assert item["name"]
            assert item["version"]
        assert [item["name"] for item in items] == [item.name for item in KINDS[kind]()]
        plain = cloakbench("list", kind)
        for item in items:
            assert item["name"] in plain.out


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("protections", {"identity", "placebo", "random-noise", "photoguard"}),
        ("attacks", {"dreambooth", "lora", "jpeg", "blur", "noise"}),
        ("metrics", {"mini-lpips", "ssim", "psnr", "gmsd", "style-distance", "style-accuracy", "frechet", "kid"}),
        ("suites", {"mini", "folder-sd", "painting", "editing", "objects", "imitation", "faces", "cartoon"}),
        ("models", {"mini-a", "mini-b", "sd15", "sd21-base", "sd21", "sd15-inpaint"}),
    ],
)
def test_what_the_issue_asks_for_is_listed(cloakbench, kind, names):
    assert names <= {item["name"] for item in json.loads(cloakbench("list", kind, "--json").out)}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["list", "suites"],
        ["list", "models", "--json"],
        ["list", "attacks"],
        ["list", "metrics"],
        ["dataset", "freeze", "--help"],
        ["regress", "--help"],
    ],
)
def test_help_and_lists_import_nothing_heavy(python, arguments):
    printed = python(
        "import sys, json, io, contextlib\n"
        "from cloakbench.cli import main\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        f"    main({arguments!r})\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    assert not set(json.loads(printed)) & {*HEAVY, "numpy", "PIL"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "mini", "--protection", "photogard"], "Did you mean photoguard"),
        (["run", "mini", "--protection", "photoguard[stepz=3]"], "It takes: "),
        (["run", "mini", "--protection", "photoguard[steps"], "photoguard[steps"),
        (["run", "minni"], "Did you mean 'mini'"),
        (["status", "minni"], "Did you mean 'mini'"),
        (["doctor", "--suite", "minni"], "Did you mean 'mini'"),
        (["list", "protection"], "protections"),
        (["run", "mini", "--limit", "few"], "few"),
        (
            ["run", "mini-quick", "--protection", "placebo", "--time-limit", "soon", "--dry-run"],
            "--time-limit as 90s, 30m",
        ),
        (["run", "mini", "--time-limit", "0"], "--time-limit as 90s, 30m"),
        (["run", "nowhere.toml", "--time-limit", "0s"], "Give a time above 0"),
        (["run", "mini", "--limit", "-1", "--dry-run"], "--limit of 0 or more"),
        (["run", "mini", "--workers", "0", "--dry-run"], "--workers of 1 or more, got 0"),
        (["run", "mini", "--store", REFERENCE, "--dry-run"], "expected a store, got the reference folder"),
        (["status", "mini", "--store", REFERENCE], "expected a store, got the reference folder"),
        (["plan", "mini", "--store", REFERENCE], "expected a store, got the reference folder"),
        (["run", "mini", "--only", "artist=nobody", "--dry-run"], "expected artist of ardwick"),
        (["run", "mini", "--only", "attack=jpg", "--dry-run"], "Did you mean 'jpeg'"),
        (["check", "photogard"], "Did you mean photoguard"),
        (["board", "mini-quik"], "Did you mean 'mini-quick'"),
        (["verify", "nowhere"], "expected a store, a folder of reference records or an archive, got nowhere"),
        (["merge", "nowhere"], "got nowhere"),
        (["measure", "psnr", "--image", "nowhere"], "expected --reference for psnr"),
        (["run", "mini", "--only", "colour=red", "--dry-run"], "expected --only FIELD=VALUE"),
        (["run", "mini", "--keep", "everything"], "images"),
        (["run", "folder"], "--images FOLDER"),
        (["run", "folder", "--images", "nowhere"], "expected a folder with one sub-folder per artist"),
        (["protect", "placebo", "--in", "nowhere", "--out", "x"], "expected a folder of images, got nowhere"),
        (["protect", "placebo", "--in", IMAGES, "--out", "x", "--strength", "1.5"], "(0, 1], got 1.5"),
        (["protect", "placebo", "--in", IMAGES, "--out", "x", "--budget", "0"], "1 to 255 levels, got 0"),
        (["dataset", "freeze", "mini", "--from", "nowhere", "--out", "x"], "whose dataset is a manifest, got 'mini'"),
        (["dataset", "freeze", "painting", "--from", "nowhere", "--out", "x"], "expected a folder of paintings"),
        (["dataset", "freeze", "painting"], "--from"),
        (["dataset", "thaw"], "thaw"),
        (["run", "painting"], "needs a folder with a manifest.json, got none"),
        (["board", "--store", "nowhere", "--out", "x"], "nowhere"),
        (["frobnicate"], "frobnicate"),
        (["run", "mini", "--frobnicate"], "--frobnicate"),
    ],
)
@pytest.mark.usefixtures("stand_ins")
def test_wrong_usage_ends_with_2_and_says_why(cloakbench, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    result = cloakbench(*arguments)
    assert result.code == 2
    assert said in " ".join(result.err.split())
    assert "Traceback" not in result.err
    assert result.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("stand_ins")
def test_a_store_that_cannot_be_written_ends_with_2(cloakbench, tiny_suite, tmp_path):
    (tmp_path / "results").write_text("")
    result = cloakbench("run", tiny_suite, *RUN, tmp_path / "results")
    assert result.code == 2
    assert "expected a writable store" in result.err


@pytest.mark.usefixtures("stand_ins")
def test_a_dry_run_knows_the_cells_and_runs_nothing(cloakbench, tiny_suite, tmp_path):
    result = cloakbench("run", tiny_suite, *RUN, tmp_path / "store", "--dry-run", "--json")
    assert result.code == 0
    parsed = json.loads(result.out)
    assert (parsed["cells"], parsed["missing"], parsed["store"]) == (7, 7, str(tmp_path / "store"))
    assert not (tmp_path / "store").exists()


@pytest.mark.usefixtures("stand_ins")
def test_a_run_is_taken_up_counted_and_shown(cloakbench, python, tiny_suite, tmp_path, monkeypatch):
    monkeypatch.setenv("CLOAKBENCH_STORE", str(tmp_path / "a store"))
    started = cloakbench("run", tiny_suite, "--protection", "placebo", "--limit", "2", "--json")
    assert started.code == 0
    assert json.loads(started.out) == {"cells": 7, "failed": 0, "ran": 2, "store": str(tmp_path / "a store")}
    assert "[2/2] ok" in started.err
    counts = json.loads(cloakbench("status", tiny_suite, "--protection", "placebo", "--json").out)
    assert sum(tally.get("ok", 0) for tally in counts.values()) == 2
    assert sum(tally.get("missing", 0) for tally in counts.values()) == 5
    ended = cloakbench("run", tiny_suite, "--protection", "placebo", "--json")
    assert json.loads(ended.out)["ran"] == 5
    assert json.loads(cloakbench("run", tiny_suite, "--protection", "placebo", "--json").out)["ran"] == 0
    assert "identity: 2 ok" in cloakbench("status", tiny_suite, "--protection", "placebo").out
    refused = cloakbench("board", "--out", tmp_path / "site")
    assert refused.code == 2
    assert "expected checks with known answers that hold" in refused.err
    assert not (tmp_path / "site").exists()
    board = cloakbench("board", "--out", tmp_path / "site", "--unofficial", "--json")
    assert board.code == 0
    assert json.loads(board.out) == {"leaderboard": str(tmp_path / "site" / "index.html")}
    assert (tmp_path / "site" / "board.json").is_file()
    shown = python(
        "import contextlib, sys\n"
        "from cloakbench.cli import main\n"
        "with contextlib.suppress(SystemExit):\n"
        f"    main(['board', '--unofficial', '--out', {str(tmp_path / 'site')!r}])\n"
        "print(sorted({'torch', 'diffusers', 'transformers'} & set(sys.modules)))"
    )
    assert shown.splitlines()[-2:] == [f"leaderboard: {(tmp_path / 'site' / 'index.html').as_uri()}", "[]"]


def test_sources_without_records_are_refused_before_the_libraries_load(python, tmp_path):
    (tmp_path / "words.zip").write_text("no archive")
    (tmp_path / "empty").mkdir()
    commands = [
        ["merge", str(tmp_path / "words.zip")],
        ["merge", str(tmp_path / "empty")],
        ["verify", str(tmp_path / "words.zip")],
        ["submit", "my-cloak", "--out", str(tmp_path / "a.zip"), "--store", str(tmp_path / "empty")],
    ]
    shown = python(
        "import contextlib, io, sys\n"
        "from cloakbench.cli import main\n"
        f"for words in {commands!r}:\n"
        "    with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.suppress(SystemExit):\n"
        "        main(words)\n"
        "    print('expected a' in said.getvalue(), sorted({'torch', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert shown.splitlines() == ["True []"] * len(commands)


@pytest.mark.usefixtures("stand_ins")
def test_failed_cells_end_with_2_and_the_others_are_kept(cloakbench, tiny_suite, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "cloakbench_controls.Placebo.protect", lambda *_: (_ for _ in ()).throw(RuntimeError("no idea")), raising=True
    )
    result = cloakbench("run", tiny_suite, *RUN, tmp_path / "store", "--json")
    assert result.code == 2
    parsed = json.loads(result.out)
    assert (parsed["ran"], parsed["failed"]) == (7, 2)
    assert "failed placebo@1 vellmar dreambooth seed 0" in result.err
    assert "RuntimeError: no idea" in result.err
    counts = json.loads(cloakbench("status", tiny_suite, *RUN, tmp_path / "store", "--json").out)
    assert counts["placebo"] == {"failed": 2}
    assert counts["identity"] == {"ok": 2}


@pytest.mark.usefixtures("stand_ins")
def test_a_fault_of_the_harness_ends_with_2_and_is_tried_again(cloakbench, tiny_suite, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("cloakbench.cells.stages.sampling.generate", lambda *_: 1 / 0)
        result = cloakbench("run", tiny_suite, *RUN, tmp_path / "store", "--json")
    assert (result.code, json.loads(result.out)["failed"]) == (2, 7)
    result = cloakbench("run", tiny_suite, *RUN, tmp_path / "store", "--json")
    assert (result.code, json.loads(result.out)["ran"]) == (0, 7)


@pytest.mark.usefixtures("stand_ins")
def test_a_fault_of_the_disk_ends_with_2(cloakbench, tiny_suite, tmp_path, monkeypatch):
    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    result = cloakbench("run", tiny_suite, *RUN, tmp_path / "store")
    assert result.code == 2
    assert "no space is left" in result.err
    assert "finished cells are kept" in result.err


@pytest.mark.usefixtures("stand_ins")
def test_ctrl_c_ends_with_130(cloakbench, tiny_suite, tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "run", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    result = cloakbench("run", tiny_suite, *RUN, tmp_path / "store")
    assert result.code == 130
    assert "finished cells are kept, run again to go on" in result.err


def test_a_reader_who_stops_early_is_no_fault():
    command = "from cloakbench.cli import main; main(['list', 'metrics', '--json'])"
    process = subprocess.Popen([sys.executable, "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 0
    assert err == b""


@pytest.mark.usefixtures("stand_ins")
def test_the_doctor_names_what_is_there_and_what_is_not(cloakbench, tmp_path, weights, monkeypatch):
    result = cloakbench("doctor", "--suite", "mini", "--store", tmp_path / "store", "--json")
    checks = {check["name"]: check for check in json.loads(result.out)}
    assert result.code == 0
    for check in checks.values():
        assert {"name", "state", "detail"} == check.keys()
    assert {"python", "torch", "model mini-a", "mini-clip", "protection photoguard", "store"} <= checks.keys()
    shutil.copytree(weights, tmp_path / "half")
    shutil.rmtree(tmp_path / "half" / "mini-clip")
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(tmp_path / "half"))
    monkeypatch.setattr("cloakbench.models.registry.WEIGHTS", tmp_path / "nowhere")
    result = cloakbench("doctor", "--suite", "mini", "--store", tmp_path / "store", "--json")
    assert result.code == 2
    states = {check["name"]: check["state"] for check in json.loads(result.out)}
    assert (states["model mini-a"], states["mini-clip"]) == ("ok", "missing")


def test_controls_come_along_and_a_name_counts_once(tmp_path):
    names = []
    for entry in entries(["photoguard", "identity", "photoguard[steps=3]"], tmp_path, 1):
        names.append(entry.facts.name)
    assert names == ["floor", "identity", "placebo", "random-noise", "photoguard", "photoguard[steps=3]"]
    everything = {entry.facts.name for entry in entries([], tmp_path, 1)}
    assert everything == {"floor", *submissions.discover().names} - {"images"}  # which has a parameter without default
