"""Verbs for metrics: measure."""

from __future__ import annotations

from pathlib import Path

from benchmark.commands.terminal import Flag, print_rows


def measure(*metric: str, image: Path, reference: Path | None = None, json: Flag = False) -> int:
    """Measures two images, or two folders of images paired by file name.

    Args:
        metric: Names of metrics, such as `lpips-vgg ssim`; `cloakbench list metrics` shows all.
        image: The changed or generated image, or a folder of them.
        reference: What it is compared with: the original, the clean edit, the artist's references.
        json: Print a list of objects with metric, version, value and n, the number of images.
    """
    from benchmark.metrics.catalogue import find

    for name in metric:
        find(name)  # before the libraries load, which takes seconds
    from benchmark.metrics.measuring import measure_paths

    print_rows(measure_paths(metric, image, reference), json)
    return 0
