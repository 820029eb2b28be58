"""Verbs for metrics: measure, rescore."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from cloakbench import progress
from cloakbench.commands.options import Flag, ImageFolder, StoreFolder, SuiteName
from cloakbench.commands.terminal import FAULTS, PYIQA_LICENCE, print_rows, print_values
from cloakbench.errors import UserError
from cloakbench.system.locations import default_store


def measure(*metric: str, image: Path, reference: Path | None = None, json: Flag = False) -> int:
    """Measures two images, or two folders of images paired by file name.

    Args:
        metric: Names of metrics, such as `lpips-vgg ssim`; `cloakbench list metrics` shows all.
        image: The changed or generated image, or a folder of them.
        reference: The image or folder to compare with: the original, the clean edit, the artist's references.
        json: Print a list of objects with metric, version, value and n, the number of images.
    """
    from cloakbench.metrics.catalogue import find

    for name in metric:
        if find(name).needs_reference and reference is None:
            raise UserError(f"expected --reference for {name}, got none", "Name the image or folder to compare with.")
    for path in (image, reference):
        if path is not None and not path.exists():
            raise UserError(f"expected an image or a folder of images, got {path}", "Give an existing path.")
    progress.say(f"measuring {', '.join(metric)}; loading the libraries takes some seconds")
    from cloakbench.metrics.measuring import measure_paths

    print_rows(measure_paths(metric, image, reference), json)
    if "pyiqa" in sys.modules and not json:
        print(PYIQA_LICENCE)
    return 0


def rescore(
    suite: SuiteName = "mini", *, images: ImageFolder = None, store: StoreFolder = None, json: Flag = False
) -> int:
    """Computes metrics that a suite has now and records lack, from stored images and features; runs no attack.

    Args:
        json: Print an object with written, current, other, damaged, and left: a list of metric, reason and records.
    """
    from cloakbench.suites.load import load

    load(suite)  # before the libraries load, which takes seconds
    progress.say(f"measuring the records of {suite} again; loading the libraries takes some seconds")
    from cloakbench.runs.rescore import rescore as bring_up

    done = bring_up(suite, store or default_store(), images)
    counts: dict[str, object] = {
        "written": done.written,
        "current": done.current,
        "other": done.other,
        "damaged": done.damaged,
    }
    if json:
        counts["left"] = list(map(dataclasses.asdict, done.left))
    print_values(counts, json)
    if not json:
        print_rows(done.left, False)
    return FAULTS if done.left else 0
