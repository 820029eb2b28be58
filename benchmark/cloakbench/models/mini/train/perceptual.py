"""Training of mini-lpips: features that tell styles and subjects apart, then weights fitted to LPIPS (AlexNet)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini.perceptual import WIDTHS, MiniLPIPS
from cloakbench.models.mini.train.data import Pictures
from cloakbench.models.mini.train.loop import Recipe, generator, rows, train
from cloakbench.models.mini.train.run import Run
from cloakbench.models.mini.train.teacher import perceptual

FEATURES = Recipe(steps=500, batch=48, lr=1e-3, muon_lr=4e-3, seed=41, average=0.99)
WEIGHTS = Recipe(steps=700, batch=16, lr=3e-3, muon_lr=1e-3, seed=42, average=0.99)


class _Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.distance = MiniLPIPS()
        self.head = nn.Linear(sum(WIDTHS), len(styles.STYLES) + len(scenes.SUBJECTS))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.distance.features(images)
        return torch.as_tensor(self.head(torch.cat([m.mean((2, 3)) for m in maps], 1) * 5))


def distort(x: Tensor, rng: np.random.Generator, generator: torch.Generator) -> Tensor:
    """Returns `[B, 3, H, W]` in [0, 1] after one distortion of random kind and strength."""
    kind, amount = rng.integers(7), float(rng.uniform(0.02, 1.0))
    noise = torch.randn(x.shape, generator=generator)
    if kind == 0:
        y = x + 0.15 * amount * noise
    elif kind == 1:
        y = x + 16 / 255 * amount * noise.sign()
    elif kind == 2:
        y = x + 0.2 * amount * F.interpolate(noise[:, :, ::8, ::8], scale_factor=8, mode="bicubic")
    elif kind == 3:
        k = int(rng.integers(2, 7))
        y = F.interpolate(F.avg_pool2d(x, k, ceil_mode=True), size=x.shape[-2:], mode="bilinear")
    elif kind == 4:
        y = x + amount * 0.3 * (x.roll(1, 0) - x)
    elif kind == 5:
        y = x * (1 + 0.4 * amount * noise[:, :, :1, :1]) + 0.1 * amount * noise[:, :, 1:2, 1:2]
    else:
        y = x.roll((int(rng.integers(1, 6)), int(rng.integers(0, 6))), (2, 3))
    return y.clamp(0, 1)


def train_distance(pictures: Pictures, run: Run) -> MiniLPIPS:
    """Returns mini-lpips: features from classification, then everything tuned so that distances follow LPIPS."""
    torch.manual_seed(FEATURES.seed)
    style, subject = torch.from_numpy(pictures.style), torch.from_numpy(pictures.subject)

    def classify(step: int) -> Tensor:
        chosen = rows(FEATURES, step, len(style))
        logits = classifier(pictures.batch(chosen) / 2 + 0.5)
        a, b = logits.split([len(styles.STYLES), len(scenes.SUBJECTS)], 1)
        return F.cross_entropy(a, style[chosen]) + 0.3 * F.cross_entropy(b, subject[chosen])

    classifier = _Classifier()
    features = Run("mini-lpips-features", run.work, run.weights.with_name("mini-lpips-features.safetensors"))
    classifier = train(classifier, FEATURES, classify, features)  # type: ignore[assignment]
    distance, teacher = classifier.distance.requires_grad_(True), perceptual()

    def follow(step: int) -> Tensor:
        source, chosen = generator(WEIGHTS, step), rows(WEIGHTS, step, len(style))
        rng = np.random.default_rng([WEIGHTS.seed, step])
        x = pictures.batch(chosen) / 2 + 0.5
        y = torch.cat([distort(part, rng, source) for part in torch.split(x, 4)])
        with torch.no_grad():
            target = teacher(x * 2 - 1, y * 2 - 1).flatten()
        predicted = distance(x, y)
        ratio = (predicted.clamp_min(1e-4).log() - target.clamp_min(1e-4).log()).abs().mean()
        return torch.as_tensor(ratio + 3 * F.l1_loss(predicted, target))

    average = train(distance, WEIGHTS, follow, run)
    assert isinstance(average, MiniLPIPS)
    return average.eval()
