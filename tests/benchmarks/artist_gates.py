"""Gates of the suites' artists: `python -m tests.benchmarks.artist_gates MODEL --cache FOLDER [STYLE ...]`.

MODEL is a folder of StableDiffusionPipeline. Draws one picture of each subject in every style and prints a line of JSON
per development style and artist, then the ranges of the development styles and the artists that leave them. No picture
is shown or written. VGG16 is read from `TORCH_HOME`; figures of styles that are not named are read from the cache.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2lab
from torch import Tensor
from torchvision.models import vgg16

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.images import Pixels
from tests.benchmarks.paint_gates import LAYERS, grams

PURPOSE = 109
"""First seed component of the pictures; nothing is trained on them."""
BLUR = 2.0
"""Pixels by which edges are blurred before they are compared."""
SHARE = 0.9
"""Most that a reconstruction may differ from its original, in distances to the nearest other style; project-defined."""
FORMER = ("vellmar", "ostrava", "kirin", "dunmore", "halloran", "brix", "tamsin", "quill")
"""The artists of `mini` up to version 3."""
Grams = list[Tensor]


def seeds(style: styles.Style) -> list[tuple[str, list[int]]]:
    """Returns a subject and a seed for each picture of a style."""
    number = styles.ALL.index(style)
    return [(subject, [PURPOSE, number, n]) for n, subject in enumerate(scenes.SUBJECTS)]


def recognisability(pictures: Sequence[Pixels], style: styles.Style) -> float:
    """Returns the mean correlation of the slope of luminance in each picture with the edges of its plain scene."""
    values = []
    for pixels, (subject, seed) in zip(pictures, seeds(style), strict=True):
        scene = scenes.compose(subject, np.random.default_rng(np.random.SeedSequence(seed)))
        luminance = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
        slope = ndimage.gaussian_gradient_magnitude(luminance, BLUR, mode="nearest")
        edges = ndimage.gaussian_filter(scene.edges, BLUR, mode="nearest")
        values.append(float(np.corrcoef(slope.ravel(), edges.ravel())[0, 1]))
    return float(np.mean(values))


@torch.no_grad()
def reconstruct(vae: AutoencoderKL, pictures: Sequence[Pixels]) -> list[Pixels]:
    """Returns the pictures after the autoencoder, encoded to the mode of the posterior."""
    x = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    y = vae.decode(vae.encode(x).latent_dist.mode()).sample
    pixels = ((y.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    return list(pixels)


def psnr(pictures: Sequence[Pixels], others: Sequence[Pixels]) -> float:
    """Returns the mean peak signal-to-noise ratio (dB)."""
    values = []
    for a, b in zip(pictures, others, strict=True):
        error = np.square(a.astype(np.float64) - b).mean()
        values.append(float(10 * np.log10(255**2 / error)))
    return float(np.mean(values))


def relative_distance(x: Grams, y: Grams) -> float:
    """Returns the relative difference of mean Gram matrices, averaged over layers, as `paint_gates.gram_distance`."""
    return float(np.mean([float((a - b).norm() / b.norm()) for a, b in zip(x, y, strict=True)]))


def colours(style: styles.Style) -> NDArray[np.float64]:
    """Returns the five base colours `[5, 3]` in CIE L*a*b*."""
    plain = styles.Style(style.name, style.group, style.kind, style.colours, 0.0, style.render)
    draws = [plain.palette(np.random.default_rng(n)) for n in range(64)]
    return np.asarray(rgb2lab(np.mean(draws, 0)), np.float64)


def nearest_palette(style: styles.Style) -> tuple[float, str]:
    """Returns the least mean difference of the five colours (CIE 1976) to another style's, and whose it is."""
    own = colours(style)
    others = [other for other in styles.ALL if other.name != style.name]
    return min((float(np.linalg.norm(own - colours(other), axis=1).mean()), other.name) for other in others)


def measure(style: styles.Style, vae: AutoencoderKL, network: torch.nn.Module) -> dict[str, Any]:
    """Returns a style's Gram matrices and, unless it is a training style, its figures."""
    pictures = [styles.paint(style.name, *seed) for seed in seeds(style)]
    own = grams(network, pictures)
    if style.group == "training":
        return {"grams": own}
    decoded = reconstruct(vae, pictures)
    figures = {"psnr": psnr(pictures, decoded), "recognisability": recognisability(pictures, style)}
    return {"grams": own, "loss": relative_distance(grams(network, decoded), own)} | figures


def measured(model: Path, cache: Path, again: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Returns what `measure` returns of every style, by name, read from `cache` unless it is to be measured again."""
    cache.mkdir(parents=True, exist_ok=True)
    vae = AutoencoderKL.from_pretrained(model, subfolder="vae").float().eval()
    network = vgg16(weights="IMAGENET1K_V1").features[: max(LAYERS) + 1].eval()
    results = {}
    for style in styles.ALL:
        path = cache / f"{style.name}.pt"
        if style.name in again or not path.exists():
            torch.save(measure(style, vae, network), path)
        results[style.name] = torch.load(path)
    return results


def nearest_style(name: str, results: dict[str, dict[str, Any]]) -> tuple[float, str]:
    """Returns the distance to the nearest other style, the smaller of both directions, and its name."""
    own, distances = results[name]["grams"], []
    for other, result in results.items():
        if other != name:
            there, back = relative_distance(result["grams"], own), relative_distance(own, result["grams"])
            distances.append((min(there, back), other))
    return min(distances)


def limits(rows: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Returns the range of each figure that an artist keeps to: of development styles, or of former artists."""
    development = rows[rows["group"] == "development"]
    former = development[development["style"].isin(FORMER)]
    return {
        "psnr": (development["psnr"].min(), development["psnr"].max()),
        "recognisability": (former["recognisability"].min(), 1.0),
        "nearest": (former["nearest"].min(), np.inf),
        "share": (0.0, SHARE),
    }


def main() -> None:
    """Prints every held-out style's figures, then the ranges and which artists leave them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder of figures that earlier calls measured")
    parser.add_argument("styles", nargs="*", help="measure these again")
    options = parser.parse_args()
    results, table = measured(options.model, options.cache, options.styles), []
    for style in (style for style in styles.ALL if style.group != "training"):
        result, near, palette = results[style.name], nearest_style(style.name, results), nearest_palette(style)
        figures = {name: result[name] for name in ("psnr", "recognisability", "loss")}
        figures |= {"nearest": near[0], "share": result["loss"] / near[0], "palette": palette[0]}
        names = {"style": style.name, "group": style.group, "kind": style.kind}
        table.append(names | figures)
        print(json.dumps(table[-1] | {"nearest style": near[1], "nearest palette": palette[1]}), flush=True)
    rows = pd.DataFrame(table)
    artists = rows[rows["group"] == "artists"]
    for name, (low, high) in limits(rows).items():
        outside = artists["style"][~artists[name].between(low, high)]
        print(json.dumps({"gate": name, "least": low, "most": high, "outside": list(outside)}))


if __name__ == "__main__":
    main()
