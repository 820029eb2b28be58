"""How fast the baselines protect, in a batch, against plain loops of the same steps and precision.

    python tests/benchmarks/protections.py [--images 2] [--steps 12] [--rounds 3] [--entries advdm mist]
    python tests/benchmarks/protections.py --sd15 --device cuda --steps 0 --out FILE.json
    python tests/benchmarks/protections.py --sd15 --tiny

Ours takes the images of all artists in one call, the plain loop (`plain_protections.py`) one after the other; the two
take turns on the same model, images, steps, budget (16/255), precision and threads. Protections that learn or choose
something for an artist get as many images as if they were one artist's. On a CPU seconds are the process's own, so
that other work on the machine counts little, and memory is what a process of its own took beyond the loaded model; on a
GPU seconds are the clock's and memory is all that was allocated, the model included. `--steps 0` takes each entry's
own number of steps.

`--sd15` takes Stable Diffusion 1.5 in its real size with random weights, in bfloat16. `--tiny` runs the same on a
narrow model, to try it out. FastProtect is left out there: it has perturbations for mini-a alone.
"""

from __future__ import annotations

import argparse
import inspect
import json
import multiprocessing
import resource
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import random_sd15
import torch
from mimicry_bench import pictures
from on_device import environment
from plain_protections import LOOPS, ProtectionJob
from step_clock import GIB, middle, now, peak
from torch import Tensor

from cloakbench import submissions
from cloakbench.contract import Request, Surrogate
from cloakbench.datasets.artists import mini_artist
from cloakbench.images import Pixels, to_tensor
from cloakbench.models import loader
from cloakbench.models.loader import BaseModel
from cloakbench.suites import load as suites

ARTISTS = ("swirl", "crosshatch", "stained-glass", "stencil")
EPSILON = 16 / 255
PAPERS = {
    "photoguard": "7",
    "sds": "24",
    "advdm": "35",
    "mist": "40",
    "impasto": "19 to 30",
    "anti-dreambooth": "225",
    "fastprotect": "0.04",
}
"""Seconds an image of 512 pixels on an A100, as papers of the field quote them."""
ARMS = ("ours", "plain")
PRELOADED = ["diffusers", "transformers", "cloakbench.models.loader"]
"""What takes seconds to import: once, for all processes in which memory is measured."""


@dataclass(frozen=True)
class Case:
    """An entry beside its plain loop, on the same images."""

    entry: str
    job: ProtectionJob
    images: Tensor

    def run(self, arm: str) -> None:
        """Protects the images by one of the arms."""
        if arm == "plain":
            LOOPS[self.entry](self.images, self.job)
            return
        request = Request(
            1.0,
            EPSILON,
            self.job.surrogate,
            torch.Generator().manual_seed(0),
            "painting",
            ("a painting",) * len(self.images),
        )
        self.job.protection.protect(self.images, request)


def subject(arguments: argparse.Namespace) -> tuple[BaseModel, Tensor]:
    """Returns the model and the images of all artists."""
    device = torch.device(arguments.device)
    if not arguments.sd15:
        suite = suites.load("mini")
        shown: list[Pixels] = []
        for name in ARTISTS:
            shown += mini_artist(name, suite).images[: arguments.images]
        return loader.load(arguments.model, str(device)), to_tensor(shown).to(device)
    size = random_sd15.NARROW if arguments.tiny else random_sd15.REAL
    images = to_tensor(pictures(len(ARTISTS) * arguments.images, size.latent * 8, seed=1)).to(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        return random_sd15.build(size, device, torch.bfloat16), images


def case(entry: str, steps: int, surrogate: Surrogate, images: Tensor) -> Case:
    """Returns an entry with `steps` steps, or its own number where that is 0, and the plain loop's job."""
    loaded = submissions.load(entry)
    kind = type(loaded.instance)
    parameters = inspect.signature(kind).parameters
    count = steps or (parameters["steps"].default if "steps" in parameters else 0)
    style = "engraving" if surrogate.name.startswith("mini") else "cubism"
    # FSMG's learner takes as many steps as the ascent, so that any number of steps is in the same proportion.
    settings = {"steps": count, "style": style} | ({"surrogate_steps": count} if "fsmg" in entry else {})
    protection = kind(
        **{**loaded.parameters, **{name: value for name, value in settings.items() if name in parameters}}
    )
    return Case(entry, ProtectionJob(surrogate, protection, count, EPSILON, style), images)


def speed(plan: Case, rounds: int) -> dict[str, Any]:
    """Returns seconds per image of both arms and their ratio, over turns; a first turn of one image is not counted."""
    device = plan.job.surrogate.device
    for arm in ARMS:
        Case(plan.entry, plan.job, plan.images[:1]).run(arm)
    spent: dict[str, list[float]] = {arm: [] for arm in ARMS}
    memory_gib: dict[str, Any] = {}

    def turn(arm: str) -> None:
        began = now(device).own
        plan.run(arm)
        spent[arm].append((now(device).own - began) / len(plan.images))

    for _ in range(rounds):
        for arm in ARMS:
            memory_gib[arm] = peak(partial(turn, arm), device)
    ratios = [plain / ours for ours, plain in zip(spent["ours"], spent["plain"], strict=True)]
    costs = {"seconds": {arm: middle(spent[arm]) for arm in ARMS}, "ratio": middle(ratios)}
    if device.type == "cuda":
        costs["memory_gib"] = {arm: memory_gib[arm]["allocated"] for arm in ARMS}
    return costs


def memory(arguments: argparse.Namespace, entry: str, arm: str) -> float:
    """Returns the GiB that two steps of an arm take at most beyond the model, in a process of their own, on a CPU."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    receives, sends = context.Pipe(duplex=False)
    work = context.Process(target=_alone, args=(sends, arguments, entry, arm))
    work.start()
    sends.close()
    peak_bytes: float = receives.recv()
    work.join()
    return peak_bytes


def _alone(sends: Connection, arguments: argparse.Namespace, entry: str, arm: str) -> None:
    torch.set_num_threads(arguments.threads)
    model, images = subject(arguments)
    plan = case(entry, 2, model.surrogate(), images)
    sends.send(_resident(lambda: plan.run(arm)))


def _resident(work: Callable[[], None]) -> float:
    before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / GIB


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Returns all figures; written after each entry, so that a run cut short leaves what it has."""
    model, images = subject(arguments)
    surrogate = model.surrogate()
    report: dict[str, Any] = {"environment": environment(model), "images": len(images), "entries": {}}
    for entry in arguments.entries:
        plan = case(entry, arguments.steps, surrogate, images)
        costs = speed(plan, arguments.rounds)
        if "memory_gib" not in costs:
            costs["memory_gib"] = {arm: memory(arguments, entry, arm) for arm in ARMS}
        report["entries"][entry] = costs | {"steps": plan.job.steps}
        if arguments.out:
            arguments.out.write_text(json.dumps(report, indent=1, sort_keys=True) + "\n")
    return report


def table(report: dict[str, Any]) -> str:
    """Returns the figures as a markdown table."""
    lines = [
        "| protection | steps | ours, s per image | plain, s per image | ratio | ours, GiB | plain, GiB "
        "| the papers, s |"
    ]
    lines.append("|---|" + "---:|" * 7)
    for entry, costs in report["entries"].items():
        seconds, ratio, memory_gib = costs["seconds"], costs["ratio"], costs["memory_gib"]
        cells = [f"`{entry}`", str(costs["steps"]), *(f"{seconds[arm]['median']:.3g}" for arm in ARMS)]
        cells.append(f"{ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f})")
        cells += [*(f"{memory_gib[arm]:.2f}" for arm in ARMS), PAPERS.get(entry, "")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def parser() -> argparse.ArgumentParser:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--model", default="mini-a", help="an embedded model")
    parser.add_argument("--sd15", action="store_true", help="Stable Diffusion 1.5 with random weights instead")
    parser.add_argument("--tiny", action="store_true", help="with --sd15: narrow")
    parser.add_argument("--images", type=int, default=2, help="images of each of four artists")
    parser.add_argument("--steps", type=int, default=12, help="steps of every entry; 0 takes its own")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each arm")
    parser.add_argument("--threads", type=int, default=1, help="of a CPU")
    parser.add_argument("--entries", nargs="+", choices=list(LOOPS), metavar="ENTRY", help="some of them only")
    parser.add_argument("--out", type=Path, help="a JSON file for all figures")
    return parser


def main() -> None:
    """Measures and prints the table."""
    arguments = parser().parse_args()
    arguments.entries = arguments.entries or [e for e in LOOPS if not (arguments.sd15 and e == "fastprotect")]
    torch.set_num_threads(arguments.threads)
    report = measure(arguments)
    print(table(report))
    print(json.dumps({name: report[name] for name in ("environment", "images")}, sort_keys=True))


if __name__ == "__main__":
    main()
