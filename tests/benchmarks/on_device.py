"""What the scripts for a device share: their arguments, the model they take, the report they write, a profile."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import diffusers
import mimicry_bench
import torch
from torch.profiler import ProfilerActivity, profile

from cloakbench.images import Pixels
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Suite

ROWS = 30
"""Operations in the table of a profile."""


def parser(description: str | None) -> argparse.ArgumentParser:
    """Returns the arguments that all of them take."""
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--device", default="cpu", help="cpu or cuda")
    arguments.add_argument("--model", default="mini-a", help="an embedded model")
    arguments.add_argument("--sd15", action="store_true", help="Stable Diffusion 1.5 with random weights instead")
    arguments.add_argument("--tiny", action="store_true", help="with --sd15: narrow, to try the script out")
    arguments.add_argument("--threads", type=int, default=1, help="of a CPU")
    arguments.add_argument("--out", type=Path, help="a JSON file for all figures")
    arguments.add_argument(
        "--profile", type=Path, help="a file for torch's trace; the table of operations lies beside it"
    )
    return arguments


def chosen(arguments: argparse.Namespace) -> tuple[BaseModel, Suite, list[Pixels], list[str]]:
    """Returns model, suite, images of an artist and captions that the arguments ask for."""
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    if arguments.sd15:
        return mimicry_bench.sd15(device, arguments.tiny)
    return mimicry_bench.mini(arguments.model, device)


def environment(model: BaseModel) -> dict[str, Any]:
    """Returns what the figures hold for; the load says how busy the machine was when they were begun."""
    cuda = model.device.type == "cuda"
    return {
        "model": model.name,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": torch.cuda.get_device_name(model.device) if cuda else "cpu",
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 1),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
    }


def written(reports: Iterable[dict[str, Any]], out: Path | None) -> dict[str, Any]:
    """Writes each state of a report, so that a run cut short leaves what it has, and returns the last."""
    report: dict[str, Any] = {}
    for report in reports:
        if out:
            out.write_text(shown(report) + "\n")
    return report


def shown(report: dict[str, Any]) -> str:
    """Returns a report as its file holds it."""
    return json.dumps(report, indent=1, sort_keys=True)


@contextlib.contextmanager
def profiled(path: Path | None) -> Iterator[None]:
    """Writes a trace of what runs meanwhile, for chrome://tracing, and the longest operations as a text; or nothing."""
    if path is None:
        yield
        return
    cuda = torch.cuda.is_available()
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as profiler:
        yield
    profiler.export_chrome_trace(str(path))
    order = "self_cuda_time_total" if cuda else "self_cpu_time_total"
    path.with_suffix(".txt").write_text(profiler.key_averages().table(sort_by=order, row_limit=ROWS) + "\n")
