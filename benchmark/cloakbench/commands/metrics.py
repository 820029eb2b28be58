"""Verbs for metrics: measure, rescore."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from cloakbench import progress
from cloakbench.commands.terminal import FAULTS, PYIQA_LICENCE, Flag, print_rows, print_values
from cloakbench.errors import UserError
from cloakbench.system.locations import default_store


def measure(*metric: str, image: Path, reference: Path | None = None, json: Flag = False) -> int:
    """Measures two images, or two folders of images paired by file name.

    Args:
        metric: Names of metrics, such as `lpips-vgg ssim`; `cloakbench list metrics` shows all.
        image: The changed or generated image, or a folder of them.
        reference: What it is compared with: the original, the clean edit, the artist's references.
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


def rescore(suite: str = "mini", *, images: Path | None = None, store: Path | None = None, json: Flag = False) -> int:
    """Brings records up to a suite's present metrics from what the store kept, without running an attack again.

    Args:
        suite: Name of a suite, or path to its TOML file.
        images: Folder of images, as for `run`.
        store: Where records lie; ./results or $CLOAKBENCH_STORE by default.
        json: Print an object with written, current, other, damaged, and left: a list of metric, reason and records.
    """
    from cloakbench.suites.load import load

    load(suite)  # before the libraries load, which takes seconds
    progress.say(f"measuring the records of {suite} again; loading the libraries takes some seconds")
    from cloakbench.runs.rescore import rescore as bring_up

    done = bring_up(suite, store or default_store(), images)
    left = [dataclasses.asdict(row) for row in done.left]
    counts = {"written": done.written, "current": done.current, "other": done.other, "damaged": done.damaged}
    print_values({**counts, "left": left} if json else counts, json)
    if not json:
        print_rows(done.left, False)
    return FAULTS if left else 0
