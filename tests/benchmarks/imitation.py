"""How well a mimic imitates: `python -m tests.benchmarks.imitation MODEL NAME [KEY=VALUE ...] [--artists ...]`.

MODEL is a folder of StableDiffusionPipeline. The mimicry NAME learns each artist's clean images by the recipe of suite
`mini`, changed by KEY=VALUE, and generates as the suite says. Prints a line of JSON per artist: seconds of a core, and
the share of the base model's distance that the mimic keeps, by `imitation-distance` and by Gram matrices on VGG16
(0: the artist's own unseen pictures, 1: the base model). `--strips FOLDER` writes four rows as one picture: the images,
the same after the autoencoder, the base model's pictures, the mimic's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models import vgg16

from cloakbench.attacks.mimicry.finetune import posterior
from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.datasets.procedural import scenes, styles
from cloakbench.images import Pixels, quantise, to_tensor
from cloakbench.metrics import imitation
from cloakbench.models import loader
from cloakbench.models.loader import BaseModel
from cloakbench.schemas.suite import Suite
from cloakbench.suites import load as suites
from tests.benchmarks import mimics
from tests.benchmarks.paint_gates import LAYERS, Distance, gram_distance

FROZEN = Path(styles.__file__).parents[1] / "mini"
UNSEEN = 109
"""First seed component of an artist's unseen pictures."""


@dataclass(frozen=True, slots=True)
class Artist:
    """An artist's images to learn, references, and unseen pictures."""

    name: str
    images: list[Pixels]
    references: list[Pixels]
    unseen: list[Pixels]
    subjects: list[str]


def artist(name: str, count: int) -> Artist:
    """Returns an artist of the suite with `count` unseen pictures, drawn anew."""
    names = list(scenes.SUBJECTS)
    title = next(style.name for style in styles.ALL if style.name.replace(" ", "-") == name)
    unseen = []
    for n in range(count):
        unseen.append(styles.paint(title, names[n % len(names)], [UNSEEN, n], scenes.WIDE))
    subjects = json.loads((FROZEN / name / "subjects.json").read_text(encoding="utf-8"))
    return Artist(name, _read(FROZEN / name / "images"), _read(FROZEN / name / "references"), unseen, subjects)


def _read(folder: Path) -> list[Pixels]:
    return [np.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.glob("*.png"))]


def generate(mimic: Personalised, suite: Suite) -> list[Pixels]:
    """Returns the suite's generations by a mimic."""
    prompts: list[str] = []
    for prompt in suite.sampling.prompts:
        prompts += [prompt] * suite.sampling.per_prompt
    return mimics.generate(mimic, suite, prompts)


def learn(
    model: BaseModel, suite: Suite, mimicry: str, images: Sequence[Pixels], subjects: Sequence[str] = ()
) -> Personalised:
    """Returns the mimic that has learned images by the suite's recipe; captions name `subjects` where there are any."""
    plain = [suite.caption.format(token=suite.token)] * len(images)
    texts = mimics.captions(suite, subjects) if subjects else plain
    return mimics.learn(model, suite, mimicry, images, texts, seed=1)


def reconstructed(model: BaseModel, images: Sequence[Pixels]) -> list[Pixels]:
    """Returns images after the autoencoder: no mimic can be nearer to the artist than these."""
    mean, _ = posterior(model, to_tensor(images))
    return quantise(model.decode(mean * model.vae.config.scaling_factor))


def strip(rows: Sequence[Sequence[Pixels]], columns: int = 8) -> Image.Image:
    """Returns the first pictures of each set as one picture, a row a set."""
    lines = [np.concatenate(list(row[:columns]), 1) for row in rows]
    return Image.fromarray(np.concatenate(lines))


def changed(suite: Suite, mimicry: str, changes: Sequence[str]) -> Suite:
    """Returns the suite with the recipe of a mimicry changed; keys that begin with `sampling.` change its sampling."""
    pairs = dict(change.split("=", 1) for change in changes)
    recipe, sampled = dict(suite.mimicry[mimicry]), {}
    for key, value in pairs.items():
        prefix, dot, name = key.rpartition(".")
        if prefix == "sampling":
            sampled[name] = json.loads(value)
        else:
            recipe[prefix + dot + name] = json.loads(value)
    update = {"mimicry": {**suite.mimicry, mimicry: recipe}, "sampling": suite.sampling.model_copy(update=sampled)}
    return suite.model_copy(update=update)


def remaining_share(distance: Distance, member: Artist, base: list[Pixels], generated: list[Pixels]) -> float:
    """Returns the mimic's distance to the references as a share of the base model's, both less the artist's own."""
    own = distance(member.unseen, member.references)
    return (distance(generated, member.references) - own) / (distance(base, member.references) - own)


def imitation_distance(pictures: Sequence[Pixels], references: Sequence[Pixels]) -> float:
    """Returns the mean `imitation-distance` of pictures to an artist's references."""
    likeness = imitation.likeness(imitation.features(pictures), imitation.features(references))
    return float(likeness.distance.mean())


def by_name(names: Iterable[str], values: Sequence[float]) -> dict[str, float]:
    """Returns rounded values by the names of their distances."""
    rounded_values = [round(value, 3) for value in values]
    return dict(zip(names, rounded_values, strict=True))


def main() -> None:
    """Prints one line per artist and the mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("mimicry")
    parser.add_argument("changes", nargs="*")
    parser.add_argument("--artists", nargs="+", default=["crosshatch", "stained-glass", "stencil", "swirl"])
    parser.add_argument("--subjects", action="store_true", help="captions of the training images name their subjects")
    parser.add_argument("--strips", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    suite = changed(suites.load("mini"), options.mimicry, options.changes)
    gram = gram_distance(vgg16(weights="IMAGENET1K_V1").features[: max(LAYERS) + 1].eval())
    distances: dict[str, Distance] = {"imitation-distance": imitation_distance, "gram": gram}
    model = loader.load(options.model)
    base, shares = generate(Personalised(model), suite), []
    learn(model, suite.model_copy(update={"mimicry": suite.mimicry}), options.mimicry, base[:2])  # class images, once
    for name in options.artists:
        member = artist(name, len(base))
        began = time.process_time()
        mimic = learn(model, suite, options.mimicry, member.images, member.subjects if options.subjects else ())
        learned = time.process_time()
        generated = generate(mimic, suite)
        seconds = {"train_s": round(learned - began, 1), "sample_s": round(time.process_time() - learned, 1)}
        shares.append([remaining_share(distance, member, base, generated) for distance in distances.values()])
        print(json.dumps({"artist": name, **by_name(distances, shares[-1]), **seconds}), flush=True)
        if options.strips is not None:
            options.strips.mkdir(parents=True, exist_ok=True)
            rows = [member.images, reconstructed(model, member.images), base[::3], generated[::3]]
            strip(rows).save(options.strips / f"{name}-{options.mimicry}.png")
    means = by_name(distances, np.mean(shares, axis=0).tolist())
    print(json.dumps({"artist": "mean", **means, "changes": options.changes}))


if __name__ == "__main__":
    main()
