"""Training of mini-viewer: styles are told apart, graded ruins graded, intact pictures told from ruins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from cloakbench.models.mini.train import ruins
from cloakbench.models.mini.train.loop import Recipe, train
from cloakbench.models.mini.train.pool import to_pixels
from cloakbench.models.mini.train.run import Run
from cloakbench.models.mini.train.stages import in_half_precision
from cloakbench.models.mini.train.viewer_batches import DRAWN_RUINS, GROUPS, Batches, GradedBatch
from cloakbench.models.mini.train.viewer_material import OWN, REFERENCES, TrainingPictures
from cloakbench.models.mini.viewer import BANK, View, Viewer, style_difference

RECIPE = Recipe(steps=900, batch=0, lr=1e-3, muon_lr=4e-3, seed=91, warmup=30, decay_share=0.6, average=0.99)
"""`Batches` fixes the number of pictures of a step, 84."""
TEMPERATURE = 0.1


def loss(view: View, batch: GradedBatch) -> Tensor:
    """Returns the sum of three errors: styles told apart, differences of style, soundness."""
    grouped, degraded, blended, *ruined = batch.split(view.style)
    sets = grouped.view(GROUPS, REFERENCES + OWN, -1)
    soundness = _soundness_error(batch, view.soundness)
    differences = []
    for n in range(GROUPS):
        references = sets[n, :REFERENCES]
        other_sets = torch.cat([sets[:n], sets[n + 1 :]])
        others = other_sets[:, REFERENCES:].flatten(0, 1)
        bank = other_sets[:, :REFERENCES].flatten(0, 1)
        grades = batch.grades[n::GROUPS]
        pictures = torch.cat([sets[n, REFERENCES:], others, blended[n : n + 1], degraded[n::GROUPS], ruined[0]])
        measured = style_difference(pictures, references, bank)
        own, other, blend, worse, gone = torch.split(measured, [OWN, len(others), 1, len(grades), DRAWN_RUINS])
        differences.append(own.clamp(min=0).square().mean() + F.relu(1 - other).square().mean())
        differences.append((blend - batch.shares[n]).square().mean() + 0.5 * F.relu(grades - worse).square().mean())
        differences.append(0.5 * F.relu(1 - gone).square().mean())
    return _contrast(grouped) + torch.stack(differences).sum() / GROUPS + 2 * soundness


def _contrast(grouped: Tensor) -> Tensor:
    """Returns the supervised contrastive error (Khosla et al. 2020, arXiv 2004.11362) of the groups' pictures."""
    group = torch.arange(len(grouped)) // (REFERENCES + OWN)
    logits = (grouped @ grouped.T / TEMPERATURE).masked_fill(torch.eye(len(grouped), dtype=torch.bool), -1e4)
    same = (group[:, None] == group).float() - torch.eye(len(grouped))
    return -(F.log_softmax(logits, dim=1) * same).sum(1).div(same.sum(1)).mean()


def _soundness_error(batch: GradedBatch, logits: Tensor) -> Tensor:
    """Returns the cross entropy of soundness; blends have none."""
    grouped, degraded, _, drawn, intact, ruined = batch.split(logits)
    values = torch.cat([grouped, degraded, drawn, intact, ruined])
    whole, gone = torch.ones_like(grouped), torch.zeros_like(drawn)
    targets = torch.cat([whole, 1 - batch.grades, gone, torch.ones_like(intact), torch.zeros_like(ruined)])
    return F.binary_cross_entropy_with_logits(values, targets)


def train_viewer(material: TrainingPictures, run: Run, recipe: Recipe = RECIPE) -> Viewer:
    """Returns the trained network with its bank of other styles."""
    torch.manual_seed(recipe.seed)
    model, batches = Viewer().to(memory_format=torch.channels_last), Batches(material, recipe.seed)

    def error(step: int) -> Tensor:
        batch = batches.draw(step)
        with run.casting():
            view = model(batch.pixels.contiguous(memory_format=torch.channels_last))
        return loss(View(view.style.float(), view.soundness.float()), batch)

    average = train(model, recipe, error, run)
    assert isinstance(average, Viewer)
    return finished(average, model, material)


@torch.no_grad()
def finished(average: Viewer, model: nn.Module, material: TrainingPictures) -> Viewer:
    """Returns the averaged network with the running statistics of the trained one, and its bank."""
    for mean, buffer in zip(average.buffers(), model.buffers(), strict=True):
        mean.copy_(buffer)
    average.eval()
    rows = []
    for name in np.unique(material.style):
        rows += list(np.flatnonzero(material.style == name)[: BANK // len(np.unique(material.style))])
    average.bank.copy_(average(to_pixels(material.drawn[rows])).style)
    average.ruin_level.copy_(average(drawn_ruins(material)).soundness.mean())
    return average


def drawn_ruins(material: TrainingPictures) -> Tensor:
    """Returns ruins of every kind in the training, four of each, `[n, 3, 128, 128]`."""
    pictures = []
    for n, ruin in enumerate(list(ruins.RUINS.values()) * 4):
        source = material.drawn[n].astype(np.float32) / 255
        pictures.append(np.rint(ruin(source, np.random.default_rng([RECIPE.seed, n])) * 255).astype(np.uint8))
    return to_pixels(np.stack(pictures))


def write(model: Viewer, path: Path) -> None:
    """Writes the network in half precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(in_half_precision(model), path)
