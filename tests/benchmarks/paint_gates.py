"""Gates of texture: `python tests/benchmarks/paint_gates.py MODEL [--count 10]`.

MODEL is a folder of StableDiffusionPipeline. Compares, style by style, generations with unseen drawn pictures, and two
sets of drawn pictures with each other: by Gram matrices on VGG16 (`TORCH_HOME`) and by KID's kernel on Inception
(`CLOAKBENCH_ASSETS`). Prints a line of JSON a style, then the two gates; a measure whose weights are missing is skipped
with a reason.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.models import vgg16

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.images import Pixels
from cloakbench.metrics import inception
from cloakbench.models.mini.train import paint, teacher

LAYERS = (3, 8, 15, 22)
"""After which layers of VGG16 the Gram matrices are taken: relu1_2, relu2_2, relu3_3, relu4_3."""
MOST = 1.5
"""Times the distance of two drawn sets that generations may be away."""
FIRST, SECOND = 107, 108
"""First seed components of the two drawn sets; nothing is trained on them."""
Distance = Callable[[Sequence[Pixels], Sequence[Pixels]], float]


@torch.no_grad()
def grams(network: torch.nn.Module, images: Sequence[Pixels]) -> list[Tensor]:
    """Returns the mean Gram matrix of a set at each of the layers."""
    x = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    means = []
    for n, layer in enumerate(network):
        x = layer(x)
        if n in LAYERS:
            maps = x.flatten(2)
            means.append((maps @ maps.transpose(1, 2) / maps.shape[2]).mean(0))
    return means


def gram_distance(network: torch.nn.Module) -> Distance:
    """Returns the distance of two sets: relative differences of their mean Gram matrices, averaged over layers."""

    def distance(x: Sequence[Pixels], y: Sequence[Pixels]) -> float:
        pairs = zip(grams(network, x), grams(network, y), strict=True)
        return float(np.mean([float((a - b).norm() / b.norm()) for a, b in pairs]))

    return distance


def kernel_distance(path: Path) -> Distance:
    """Returns KID's distance of two sets, with each picture's kernel with itself, so that equal sets give 0."""

    def distance(x: Sequence[Pixels], y: Sequence[Pixels]) -> float:
        a, b = (inception.features(images, path).double().numpy() for images in (x, y))

        def kernel(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
            return float(((p @ q.T / p.shape[1] + 1) ** 3).mean())

        return kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)

    return distance


def distances() -> dict[str, Distance]:
    """Returns the measures whose weights are here; prints why another is left out."""
    distances_by_name: dict[str, Distance] = {}
    try:
        distances_by_name["gram"] = gram_distance(vgg16(weights="IMAGENET1K_V1").features[: max(LAYERS) + 1].eval())
    except OSError as error:
        print(json.dumps({"skipped": "gram", "reason": f"no VGG16: {error}"}))
    path = Path(os.environ.get(teacher.ASSETS, "../shared/assets")) / "cleanfid" / "inception-2015-12-05.pt"
    if path.exists():
        distances_by_name["kid"] = kernel_distance(path)
    else:
        print(json.dumps({"skipped": "kid", "reason": f"no Inception at {path}"}))
    return distances_by_name


def drawn(style: int, count: int, purpose: int) -> list[Pixels]:
    """Returns `count` pictures of a style, its subjects in turn."""
    names = list(scenes.SUBJECTS)
    jobs = []
    for n in range(count):
        jobs.append((styles.STYLES[style].name, names[n % len(names)], [purpose, style, n]))
    return [styles.paint(*job, scenes.CLOSE) for job in jobs]


def main() -> None:
    """Prints the ratios of every training style and the gates on their means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--count", type=int, default=10, help="pictures per style in each of the three sets")
    options = parser.parse_args()
    measures, ratios = distances(), {}
    for style in (n for n, s in enumerate(styles.STYLES) if s.group == "training"):
        pairs = [(style, n % len(scenes.SUBJECTS)) for n in range(options.count)]
        first, second = (drawn(style, options.count, purpose) for purpose in (FIRST, SECOND))
        painted = list(paint.generate(options.model, pairs, seed=style))
        row = {name: far(painted, first) / far(second, first) for name, far in measures.items()}
        ratios[styles.STYLES[style].name] = row
        print(json.dumps({"style": styles.STYLES[style].name, **{k: round(v, 2) for k, v in row.items()}}))
    for name in measures:
        mean = float(np.mean([row[name] for row in ratios.values()]))
        print(json.dumps({"gate": name, "wanted at most": MOST, "measured": round(mean, 2), "holds": mean <= MOST}))


if __name__ == "__main__":
    main()
