"""Speed of metrics: one batch against the libraries one image at a time; `python -m tests.benchmarks.metrics`.

Needs real weights where they are to count: `TORCH_HOME=<folder> HF_HUB_OFFLINE=1`. Metrics without theirs are left out.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from pairs import noisy
from tiny import picture

from cloakbench.images import Pixels, to_tensor
from cloakbench.metrics import catalogue, inception, quality, weights
from cloakbench.metrics.sets import frechet

QUALITY = [metric.name for metric in catalogue.METRICS if metric.facts.level == "quality"]

PYIQA = {"ssim": "ssim", "psnr": "psnr", "gmsd": "gmsd", "ms-ssim": "ms_ssim", "vif-wavelet": "vif", "fsim": "fsim"}
PYIQA |= {"dists": "dists", "lpips-alex": "lpips", "lpips-vgg": "lpips-vgg"}
PYIQA |= {"pieapp": "pieapp", "topiq-fr": "topiq_fr"}
FEATURES = 2048
"""Numbers that Inception gives an image, on which FID rests."""


def seconds(work: Callable[[], object], device: str) -> float:
    """Returns how long a call takes, the device's queue included."""
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def one_by_one(name: str, changed: Sequence[Pixels], originals: Sequence[Pixels], device: str) -> None:
    """Calls the library as its examples do; a metric of this project is called with one pair at a time."""
    if name in PYIQA:
        import pyiqa

        metric = LOADED.setdefault(name, pyiqa.create_metric(PYIQA[name], device=torch.device(device)))
        for image, original in zip(changed, originals, strict=True):
            metric(to_tensor([image]), to_tensor([original]))
    else:
        for image, original in zip(changed, originals, strict=True):
            quality.measure([name], [image], [original], device)


LOADED: dict[str, object] = {}


def fastest(work: Callable[[], object], device: str, repeats: int) -> float:
    """Returns the fewest seconds of several runs."""
    return min(seconds(work, device) for _ in range(repeats))


def measured(count: int, side: int, device: str, repeats: int, chunk: int) -> list[dict[str, object]]:
    """Returns for each metric the best seconds per pair, in a batch and one by one."""
    originals = [picture(n, side, side) for n in range(count)]
    changed = [noisy(image, 8, n) for n, image in enumerate(originals)]
    rows: list[dict[str, object]] = []
    for name in sorted(weights.find_usable(QUALITY).usable):
        ways = {
            "batch_s": lambda name=name: quality.measure([name], changed, originals, device, chunk),
            "alone_s": lambda name=name: one_by_one(name, changed, originals, device),
        }
        for work in ways.values():
            work()
        best = {way: fastest(work, device, repeats) / count for way, work in ways.items()}
        rows.append({"metric": name, **best, "ratio": best["alone_s"] / best["batch_s"]})
    totals = {"batch_s": 0.0, "alone_s": 0.0}
    for row in rows:
        for way in totals:
            totals[way] += float(str(row[way]))
    return [*rows, {"metric": "all", **totals, "ratio": totals["alone_s"] / totals["batch_s"]}]


def distance(count: int) -> dict[str, object]:
    """Returns the seconds of the Frechet distance of FID's features by the trace, and by clean-fid's matrix root."""
    from cleanfid.fid import fid_from_feats

    rng = np.random.default_rng(0)
    x, y = (rng.normal(shift, 1, (count, FEATURES)) for shift in (0, 0.1))
    trace, root = seconds(lambda: frechet(x, y), "cpu"), seconds(lambda: fid_from_feats(x, y), "cpu")
    return {"metric": f"frechet of {count} images", "batch_s": trace, "alone_s": root, "ratio": root / trace}


def inception_features(count: int, side: int, device: str, chunk: int) -> dict[str, object]:
    """Returns the seconds per image of FID's features: ours in batches, and clean-fid's own way with one at a time."""
    from cleanfid.fid import get_files_features
    from cleanfid.inception_torchscript import InceptionV3W

    images = [picture(n, side, side) for n in range(count)]
    path = weights.find("inception-2015-12-05.pt").path
    network = InceptionV3W(str(path.parent), download=False).to(device)
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{n:03}.png") for n in range(count)]
        for file, image in zip(files, images, strict=True):
            Image.fromarray(image).save(file)
        ways = {
            "batch_s": lambda: inception.features(images, path, device, chunk),
            "alone_s": lambda: [
                get_files_features([file], network, 0, 1, torch.device(device), "clean", verbose=False)
                for file in files
            ],
        }
        for work in ways.values():
            work()
        seconds_by_way = {way: seconds(work, device) / count for way, work in ways.items()}
    return {
        "metric": "features of fid",
        **seconds_by_way,
        "ratio": seconds_by_way["alone_s"] / seconds_by_way["batch_s"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--chunk", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--distance", type=int, default=0, help="images of the Frechet distance; 0 leaves it out")
    options = parser.parse_args()
    rows = measured(options.count, options.side, options.device, options.repeats, options.chunk)
    if weights.find("inception-2015-12-05.pt").is_here:
        rows.append(inception_features(options.count, options.side, options.device, options.chunk))
    rows += [distance(options.distance)] if options.distance else []
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
