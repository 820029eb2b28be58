"""Every stage of `painting` and `editing` once, on Stable Diffusion in its real size: time and peak memory.

    python tests/benchmarks/real_size.py --device cuda --out FILE.json
    python tests/benchmarks/real_size.py --narrow --out FILE.json
    python tests/benchmarks/real_size.py --suite painting --attack lora --small-card --out FILE.json

Weights are random; sizes, configuration files and the tokenizer are the real ones. A suite is one `cloakbench run`
with a few steps, for one protection of one painting, or photograph with a mask, of 512 pixels. Paintings and
configuration files are looked for in `$CLOAKBENCH_ASSETS`. Metrics whose weights are not here are left out, and the
report names them. On a CPU everything is computed in float32.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from real_models import ALIASES, ModelWriter

from cloakbench.image_files import read_folder
from cloakbench.images import Pixels, encode
from cloakbench.suites import inherit
from cloakbench.suites.read import FOLDER

ASSETS = Path(os.environ.get("CLOAKBENCH_ASSETS", Path(__file__).parents[3] / "shared" / "assets"))
CLOAKBENCH = str(Path(sys.executable).parent / "cloakbench")
SHORT = {"steps": 2, "batch": 1, "class_images": 1}
"""Of every stage; a step more or less is what a time per step is read from."""
SUITES = ("painting", "editing")
NOT_MEASURED = ("clip-distance", "pieapp", "topiq-fr", "niqe", "brisque", "clip-iqa", "clip-accuracy", "edit-adherence")
Table = dict[str, Any]


def main() -> None:
    """Runs what the arguments ask for and writes the report after every suite."""
    arguments = _arguments().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for report in measure(arguments, Path(folder)):
            text = json.dumps(report, indent=1, sort_keys=True)
            if arguments.out:
                arguments.out.write_text(text + "\n")
    print(text)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--narrow", action="store_true", help="narrow models, to try the script out")
    parser.add_argument("--small-card", action="store_true", help="8-bit AdamW and checkpointed activations")
    parser.add_argument("--suite", nargs="*", default=SUITES, choices=SUITES)
    parser.add_argument("--attack", nargs="*", help="of the suites; all by default")
    parser.add_argument("--protection", default="photoguard[steps=2]")
    parser.add_argument("--seconds", type=int, default=600, help="limit of one suite")
    parser.add_argument("--memory-gib", type=float, help="limit of a process, on a CPU (prlimit)")
    parser.add_argument("--out", type=Path, help="a JSON file for all figures")
    return parser


def measure(arguments: argparse.Namespace, root: Path) -> Iterator[Table]:
    """Yields the report as it grows."""
    writer = ModelWriter(ASSETS / "sd_configs" / "sd15", root / "models", arguments.narrow)
    report: Table = {"environment": environment(arguments), "stages": {}, "not_run": {}, "without": NOT_MEASURED}
    for name in arguments.suite:
        suite = shortened(name, arguments)
        images = frozen(suite, root)
        for alias in ALIASES:
            if json.dumps(alias) in json.dumps(suite) and not (root / "models" / alias).exists():
                writer.write(alias)
        end = run(suite, images, arguments, root)
        records = list(_records(root / "store", suite["name"]))
        for record in records:
            for stage, cost in _stages(record).items():
                report["stages"].setdefault(f"{name}: {stage}", cost)
        for attack in suite["attacks"]:
            if reason := _lack(records, attack["name"], end):
                report["not_run"][f"{name}: {attack['name']}"] = reason
        yield report


def _lack(records: list[Table], attack: str, end: str) -> str:
    """Returns why an attack was not run whole; empty where it was."""
    for record in records:
        if record["attack"]["name"] == attack:
            return "" if record["status"] == "ok" else f"{record['status']}: {record['reason']}"
    return end


def environment(arguments: argparse.Namespace) -> Table:
    """Returns what the figures hold for."""
    on_gpu = arguments.device == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_gpu else platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "size": "narrow" if arguments.narrow else "real",
        "settings": "small card" if arguments.small_card else "usual",
        "dtype": "bfloat16" if on_gpu else "float32",
        "torch": torch.__version__,
    }


def shortened(name: str, arguments: argparse.Namespace) -> Table:
    """Returns the table of a suite with few steps, one image and one image generated; models and sizes stay."""
    suite: Table = inherit.complete(tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8")), _no_base)
    if arguments.attack:
        _keep_attacks(suite, arguments.attack)
    _shorten_stages(suite, arguments.small_card)
    for absent in ("matching", "published"):
        suite.pop(absent, None)
    suite |= {"name": f"{name}-real-size", "artists": suite["artists"][:1], "images_per_artist": 1, "strengths": [1.0]}
    suite |= {"perceptual": "mini-lpips", "dtype": "bfloat16" if arguments.device == "cuda" else "float32"}
    suite["seeds"] = {"protected": 1, "controls": 1}
    suite["sampling"] |= {"prompts": suite["sampling"]["prompts"][:1], "per_prompt": 1, "steps": 2}
    suite["edit_prompts"] = suite["edit_prompts"][:1]
    quality = [metric for metric in suite["metrics"]["quality"] if metric not in NOT_MEASURED]
    edits = [metric for metric in suite["metrics"]["edit"] if metric not in NOT_MEASURED]
    suite["metrics"] |= {"primary": "style-distance", "quality": quality, "generation": [], "sets": [], "edit": edits}
    return suite


def _no_base(name: str) -> Table:
    """Raises ValueError: neither suite extends another."""
    raise ValueError(f"expected a suite that extends none, got one that extends {name}")


def _shorten_stages(suite: Table, small_card: bool) -> None:
    for kind in ("countermeasures", "mimicry"):
        for stage, table in suite[kind].items():
            suite[kind][stage] = {key: SHORT.get(key, value) for key, value in table.items()}
            if stage == "diffpure":
                suite[kind][stage]["strength"] = 0.5
            if stage in ("dreambooth", "lora") and small_card:
                suite[kind][stage] |= {"optimizer": "adamw-8bit", "gradient_checkpointing": True}


def _keep_attacks(suite: Table, names: list[str]) -> None:
    """Takes the other attacks, and the tables that only they need, out of a suite's table; the first has to imitate."""
    if suite["rank_by"] not in names:
        suite["rank_by"] = names[0]
    suite["attacks"] = [attack for attack in suite["attacks"] if attack["name"] in names]
    stages = {attack["mimicry"] for attack in suite["attacks"]}
    for attack in suite["attacks"]:
        stages.update((attack.get("countermeasure") or "").split("+"))
    for kind in ("countermeasures", "mimicry"):
        suite[kind] = {stage: table for stage, table in suite[kind].items() if stage in stages}


def frozen(suite: Table, root: Path) -> Path:
    """Returns a folder with one frozen image of 512 pixels, a reference, and a mask where the suite edits."""
    folder = root / suite["name"]
    artist, rule = suite["artists"][0], root / f"{suite['name']}-rule.toml"
    source = root / f"{suite['name']}-collection" / artist
    source.mkdir(parents=True)
    has_masks = suite["name"].startswith("editing")
    for number, picture in enumerate(pictures("dog" if has_masks else "van_gogh")[:2]):
        (source / f"{number}.png").write_bytes(encode(picture))
        if has_masks:
            mask = np.zeros_like(picture)
            mask[128:384, 128:384] = 255
            (source / "masks").mkdir(exist_ok=True)
            (source / "masks" / f"{number}.png").write_bytes(encode(mask))
    rule.write_text(
        f'name = "{suite["selection"]}"\nversion = 1\nrule = "One is protected, one is a reference."\nprotect = 1\n'
        f"references = 1\nleast_side = 256\nmost_ratio = 3.0\nneeds_masks = {str(has_masks).lower()}\n"
        f'[artists]\n{artist} = "tests"\n'
    )
    suite["selection"] = str(rule)
    path = root / f"{suite['name']}.toml"
    path.write_text(to_toml(suite))
    command = [CLOAKBENCH, "dataset", "freeze", str(path)]
    subprocess.run([*command, "--from", str(source.parent), "--out", str(folder)], check=True, capture_output=True)
    return folder


def pictures(kind: str) -> list[Pixels]:
    """Returns real images, the first of the shipped assets' folder."""
    return list(read_folder(ASSETS / "images" / kind).values())


def run(suite: Table, images: Path, arguments: argparse.Namespace, root: Path) -> str:
    """Runs a suite's cells of one protection; returns how the run ended."""
    command = [CLOAKBENCH, "run", str(root / f"{suite['name']}.toml"), "--images", str(images)]
    command += ["--store", str(root / "store"), "--device", arguments.device, "--executor", "inline"]
    command += ["--protection", arguments.protection, "--only", f"protection={arguments.protection}"]
    if arguments.memory_gib:
        command = ["prlimit", f"--data={int(arguments.memory_gib * 2**30)}", *command]
    variables = {"CLOAKBENCH_MODELS": str(root / "models"), "CLOAKBENCH_LOCK": str(root / "lock.json")}
    variables |= {"HF_HUB_OFFLINE": "1", "TORCH_HOME": str(ASSETS / "torch_home")}
    try:
        ended = subprocess.run(
            command,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=arguments.seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"not reached within {arguments.seconds} s"
    lines = ended.stderr.strip().splitlines() or ["no message"]
    return f"exit code {ended.returncode}: {' '.join(lines[-3:])}"


def _records(store: Path, suite: str) -> Iterator[Table]:
    for path in sorted(store.rglob("records/**/*.json")):
        record = json.loads(path.read_text())
        if record["suite"] == suite:
            yield record


def _stages(record: Table) -> Table:
    """Returns seconds and peak memory of the stages that a cell computed itself."""
    stages: Table = {}
    for stage, cost in record["cost"].items():
        if not cost["cached"]:
            gib = round(cost["peak_bytes"] / 2**30, 2)
            stages[_name(record, stage)] = {"seconds": round(cost["wall_s"], 2), "peak_gib": gib}
    return stages


def _name(record: Table, stage: str) -> str:
    """Returns what a stage ran, as the report calls it."""
    attack = record["attack"]
    names = {
        "protect": record["protection"]["name"],
        "countermeasure": attack["countermeasure"],
        "personalise": f"{attack['mimicry']} on {attack['model']}",
        "generate": f"images of {attack['mimicry']} on {attack['model']}",
    }
    return f"{stage} {names.get(stage, '')}".strip()


def to_toml(table: Table) -> str:
    """Returns a suite's table as TOML: values first, then tables."""
    lines, later = [], []
    for key, value in table.items():
        if isinstance(value, dict):
            later.append(_tables(key, value))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            later += [f"[[{key}]]\n" + _values(item) for item in value]
        else:
            lines.append(_value(key, value))
    return "\n".join([*lines, *later]) + "\n"


def _tables(name: str, table: Table) -> str:
    inner = []
    for key, value in table.items():
        if isinstance(value, dict):
            inner.append(_tables(f"{name}.{key}", value))
    return "\n".join([f"[{name}]", _values({k: v for k, v in table.items() if not isinstance(v, dict)}), *inner])


def _values(table: Table) -> str:
    return "\n".join(_value(key, value) for key, value in table.items())


def _value(key: str, value: object) -> str:
    return f"{key} = {json.dumps(value)}"


if __name__ == "__main__":
    main()
