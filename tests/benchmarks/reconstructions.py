"""How much of a style an autoencoder carries: `python -m tests.benchmarks.reconstructions [ARTIST ...]`.

No mimic paints nearer to an artist than its decoder does. Unseen pictures of an artist are compared with the references
by `imitation-distance` (0: an intact work in the style, 1: none) as they are, after TAESD, after the shipped `mini-a`,
and after the autoencoder in training: from the teacher's latents, as a mimic's generations come, and from its own.
Prints a line of JSON per artist: the distance and its parts style and soundness.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from cloakbench.datasets.procedural import styles
from cloakbench.images import Pixels, quantise, to_tensor
from cloakbench.metrics import imitation
from cloakbench.models import loader
from cloakbench.models.mini.train import assemble, stages, teacher
from tests.benchmarks.imitation import artist

COUNT = 12


@torch.no_grad()
def reconstructions(images: Sequence[Pixels]) -> dict[str, Tensor]:
    """Returns pictures `[n, 3, h, w]` in [-1, 1] of each autoencoder by its name."""
    x = to_tensor(list(images)) * 2 - 1
    taught, shipped, stage = teacher.load("taesd"), loader.load("mini-a").vae, assemble.autoencoder(stages.FOLDER)
    latents = taught.encode(x).latents
    return {
        "taesd": taught.decode(latents).sample,
        "shipped": shipped.decode(shipped.encode(x).latent_dist.mean).sample,
        "stages, teacher's latents": stage.decode(latents / stage.config.scaling_factor).sample,
        "stages": stage.decode(stage.encode(x).latent_dist.mean).sample,
    }


def measure(sets: Mapping[str, Sequence[Pixels]], references: Sequence[Pixels]) -> dict[str, dict[str, float]]:
    """Returns the mean distance, style and soundness of each set of pictures."""
    towards, figures = imitation.features(references), {}
    for name, pictures in sets.items():
        likeness = imitation.likeness(imitation.features(pictures), towards)
        parts = {"distance": likeness.distance, "style": likeness.style, "soundness": likeness.soundness}
        figures[name] = {part: round(float(values.mean()), 3) for part, values in parts.items()}
    return figures


def main() -> None:
    """Prints a line per artist."""
    parser = argparse.ArgumentParser(description=__doc__)
    titles = styles.names("development")
    parser.add_argument("artists", nargs="*", default=[title.replace(" ", "-") for title in titles])
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.artists:
        member = artist(name, COUNT)
        sets: dict[str, Sequence[Pixels]] = {"as they are": member.unseen}
        for autoencoder, pictures in reconstructions(member.unseen).items():
            sets[autoencoder] = quantise((pictures / 2 + 0.5).clamp(0, 1))
        print(json.dumps({"artist": name, **measure(sets, member.references)}), flush=True)


if __name__ == "__main__":
    main()
