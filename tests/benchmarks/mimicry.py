"""How fast the mimic trains, against training loops as in the scripts of diffusers, and what a GPU makes of it.

    python tests/benchmarks/mimicry.py [--model mini-a] [--steps 25] [--rounds 5] [--out FILE.json]
    python tests/benchmarks/mimicry.py --sd15 --device cuda --out FILE.json
    python tests/benchmarks/mimicry.py --sd15 --tiny

Both arms take turns on the same model, pictures, batch, precision and threads, with the recipes of suite `mini`, those
of `painting` with `--sd15`. Ours also keeps the average of the weights where the recipe has one. Charged with its
set-up (copying the model, encoding pictures and captions once), ours pays it anew every 100 steps; the plain loop's
is left out. On a CPU seconds are the process's own, so that other work on the machine counts little.

`--sd15` takes Stable Diffusion 1.5 in its real size with random weights, in bfloat16, and adds what the device does:
memory, share of its measured peak, sampling, one whole cell. `--tiny` runs the same on a narrow model, to try it out.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import on_device
from mimicry_bench import PLAIN, Bench, bench
from step_clock import Cost, Seconds, bf16_peak, middle, now, operations, peak, timed

from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.images import Pixels


class Extent(NamedTuple):
    """How much of everything the device's measures do."""

    images: int
    sampling_steps: int
    cell_steps: int
    matrix: int
    products: int


FULL, TRIAL = Extent(64, 50, 1000, 8192, 50), Extent(4, 2, 4, 256, 4)


def compare(bench: Bench, name: str, steps: int, rounds: int) -> dict[str, Any]:
    """Returns the speeds of both arms, taking turns; a first short turn of each is not counted."""
    device = bench.model.device
    turns: list[tuple[Cost, Cost]] = []
    for count in [2] + [steps] * rounds:
        ours = timed(partial(bench.ours, name, count), count, device)
        turns.append((ours, timed(partial(bench.plain, name, count), count, device)))
    counted = turns[1:]
    recipe = bench.settings(name, steps)
    report = {"batch": recipe["batch"], "average": recipe.get("average", 0.0), "steps": steps, "rounds": rounds}
    return report | {
        "own": speeds([(a.own, b.own) for a, b in counted]),
        "clock": speeds([(a.wall, b.wall) for a, b in counted]),
    }


def speeds(turns: Sequence[tuple[Seconds, Seconds]]) -> dict[str, dict[str, float]]:
    """Returns steps per second of ours and of the plain loop, and their ratios, over the turns."""
    charged = [ours.step + ours.setup / 100 for ours, _ in turns]
    return {
        "ours": middle([1 / ours.step for ours, _ in turns]),
        "ours_with_setup": middle([1 / seconds for seconds in charged]),
        "plain": middle([1 / plain.step for _, plain in turns]),
        "setup_seconds": middle([ours.setup for ours, _ in turns]),
        "ratio": middle([plain.step / ours.step for ours, plain in turns]),
        "ratio_with_setup": middle([plain.step / seconds for (_, plain), seconds in zip(turns, charged, strict=True)]),
    }


def use(bench: Bench, name: str, rate: float, best: float) -> dict[str, Any]:
    """Returns what our training takes of the device: memory, operations per step, share of its peak at `rate`."""
    device = bench.model.device
    memory = {}
    for arm in (bench.ours, bench.plain):
        memory[arm.__name__] = peak(partial(arm, name, 3), device)
    per_step = operations(partial(bench.ours, name, 2)) - operations(partial(bench.ours, name, 1))
    return {"memory_gib": memory, "step_tflop": per_step / 1e12, "share_of_peak": per_step * rate / best}


def generation(bench: Bench, extent: Extent, best: float) -> dict[str, Any]:
    """Returns images per second of sampling by the base model, its memory and its share of the device's peak."""
    device = bench.model.device
    single = operations(lambda: draw(bench, Personalised(bench.model), extent._replace(images=1)))
    began = now(device).wall
    memory = peak(lambda: draw(bench, Personalised(bench.model), extent), device)
    rate = extent.images / (now(device).wall - began)
    return {
        "images": extent.images,
        "steps": extent.sampling_steps,
        "images_per_second": rate,
        "image_tflop": single / 1e12,
        "share_of_peak": single * rate / best,
        "memory_gib": memory,
    }


def draw(bench: Bench, mimic: Personalised, extent: Extent) -> list[Pixels]:
    """Generates as a cell of the suite does."""
    settings = bench.suite.sampling.model_copy(update={"steps": extent.sampling_steps})
    prompts = []
    for p in settings.prompts:
        prompts.append(p.format(token=bench.suite.token, class_word=bench.suite.class_word))
    return sampling.generate(
        mimic, [prompts[n % len(prompts)] for n in range(extent.images)], range(extent.images), settings
    )


def cell(bench: Bench, extent: Extent) -> dict[str, Any]:
    """Returns seconds and memory of one DreamBooth and its images, where another cell has drawn the class pictures."""
    device, marks = bench.model.device, [now(bench.model.device).wall]

    def work() -> None:
        learned = bench.ours("dreambooth", extent.cell_steps)
        marks.append(now(device).wall)
        draw(bench, learned, extent)
        marks.append(now(device).wall)

    memory = peak(work, device)
    return {
        "steps": extent.cell_steps,
        "images": extent.images,
        "personalise_seconds": marks[1] - marks[0],
        "generate_seconds": marks[2] - marks[1],
        "seconds": marks[2] - marks[0],
        "memory_gib": memory,
    }


def measure(bench: Bench, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yields the report as it grows."""
    device = bench.model.device
    report: dict[str, Any] = {"environment": on_device.environment(bench.model), "mimicry": {}}
    for name in () if arguments.cell else PLAIN:
        report["mimicry"][name] = compare(bench, name, arguments.steps, arguments.rounds)
        yield report
    if arguments.sd15:
        extent = TRIAL if arguments.tiny else FULL
        best = bf16_peak(device, extent.matrix, extent.products)
        report["bf16_peak_tflops"] = best / 1e12
        for name, costs in report["mimicry"].items():
            costs.update(use(bench, name, costs["clock"]["ours"]["median"], best))
            yield report
        draw(bench, Personalised(bench.model), extent._replace(sampling_steps=2))  # compiled by the first
        if not arguments.cell:
            report["sampling"] = generation(bench, extent, best)
            yield report
        report["cell"] = cell(bench, extent)
        yield report


def table(report: dict[str, Any]) -> str:
    """Returns the comparison as a markdown table."""
    titles = ("mimicry", "batch", "ours, steps/s", "plain, steps/s", "ratio", "set-up, s", "ratio with set-up")
    lines = [" | ".join(titles), " | ".join(["---", *["---:"] * (len(titles) - 1)])]
    for name, costs in report["mimicry"].items():
        speeds = costs["own"]
        ratios = []
        for r in ("ratio", "ratio_with_setup"):
            ratios.append(f"{speeds[r]['median']:.2f} ({speeds[r]['least']:.2f} to {speeds[r]['most']:.2f})")
        rates = [f"{speeds[arm]['median']:.2f}" for arm in ("ours", "plain")]
        setup = f"{speeds['setup_seconds']['median']:.2f}"
        lines.append(" | ".join([f"`{name}`", str(costs["batch"]), *rates, ratios[0], setup, ratios[1]]))
    return "\n".join(f"| {line} |" for line in lines)


def main() -> None:
    """Measures, prints the table and writes the report after each part, so that a run cut short leaves what it has."""
    parser = on_device.parser(__doc__)
    parser.add_argument("--steps", type=int, default=25, help="steps of a turn, at least 2")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each arm")
    parser.add_argument("--cell", action="store_true", help="with --sd15: a whole cell alone")
    arguments = parser.parse_args()
    with bench(*on_device.chosen(arguments)) as prepared, on_device.profiled(arguments.profile):
        report = on_device.written(measure(prepared, arguments), arguments.out)
    print(table(report))
    print(on_device.shown({name: report[name] for name in report if name != "mimicry"}))


if __name__ == "__main__":
    main()
