"""That mimicry learns, on the trained embedded model; one training serves all of these tests."""

from __future__ import annotations

import pytest
import torch

from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.attacks.mimicry.sampling import generate
from cloakbench.images import to_tensor
from cloakbench.metrics.generations import style_distances

PROMPTS = 6


@pytest.fixture(scope="module")
def distances(mimicry):
    """Mean style distance to the artist's references: of the base model's images, and of the mimic's."""
    suite = mimicry.suite
    prompts = []
    for p in suite.sampling.prompts[:PROMPTS]:
        prompts.append(p.format(token=suite.token, class_word=suite.class_word))
    references = mimicry.judge.features(mimicry.artist.references)
    by_name = {}
    for arm, mimic in (("floor", Personalised(mimicry.model)), ("mimic", mimicry.learned)):
        generated = generate(mimic, prompts, list(range(len(prompts))), suite.sampling)
        by_name[arm] = float(style_distances(mimicry.judge.features(generated), references).mean())
    own = mimicry.judge.features(mimicry.artist.images)
    by_name["artist"] = float(style_distances(own, references).mean())
    return by_name


def test_the_denoiser_fits_the_artist_better_than_before(mimicry):
    assert mimicry.loss(mimicry.learned.model.unet) < mimicry.loss(mimicry.model.unet)


def test_the_base_model_is_as_it_was(mimicry):
    now = mimicry.model.unet.state_dict()
    for name, weight in mimicry.before.items():
        assert torch.equal(now[name], weight)


def test_the_mimic_comes_nearer_to_the_artist(distances):
    assert distances["artist"] < distances["mimic"] < distances["floor"]


def test_the_autoencoder_knows_the_artists_images(mimicry):
    images = to_tensor(mimicry.artist.images)
    with torch.no_grad():
        latents = mimicry.model.vae.encode(images * 2 - 1).latent_dist.mean * mimicry.model.vae.config.scaling_factor
    error = (mimicry.model.decode(latents) - images).square().mean()
    assert float(-10 * error.log10()) > 18  # dB; the models' own gates are measured where they are trained
