"""CAT: adapters on the autoencoder against the loss written out, and what DreamBooth then gets."""

from __future__ import annotations

import formula
import pytest
import tiny
import torch

from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import cat, dreambooth
from cloakbench.attacks.mimicry.cat import Cat
from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.streams import streams

DATA = formula.data()
SETTINGS = {"adapter_batch": 2, "rank": 2, "steps": 1, "batch": 2, "learning_rate": 1e-3}
CLASS = [tiny.picture(50 + n) for n in range(2)]


def seed_of(seed):
    return streams(torch.Generator().manual_seed(seed), 1)[0].initial_seed()


def test_the_first_step_lowers_the_reconstruction_error_of_the_formula(base):
    before = formula.weights(base.vae)
    with formula.watching() as seen:
        adapted = Cat(adapter_steps=1, adapter_rate=1e-2, **SETTINGS).autoencoder(base, DATA, 3)
    assert formula.same(before, formula.weights(base.vae))

    generator = torch.Generator().manual_seed(seed_of(3))
    images = DATA.images[torch.randint(0, 3, (2,), generator=generator)] * 2 - 1
    posterior = adapted.encode(images).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator)
    trained = [p for p in adapted.parameters() if p.requires_grad] or [
        p for name, p in adapted.named_parameters() if "lora_" in name
    ]
    for parameter, weight in zip(trained, seen.before[0], strict=True):
        parameter.data.copy_(weight)
        parameter.requires_grad_(True)
    posterior = adapted.encode(images).latent_dist
    decoded = adapted.decode(posterior.mean + posterior.std * noise).sample
    ((decoded - images) ** 2).mean().backward()
    formula.assert_equal_gradients(seen.gradients[0], [p.grad for p in trained])


def test_adapters_reconstruct_the_images_better(base):
    images = DATA.images

    def error(vae):
        return float(cat.reconstruction_error(vae, images, torch.Generator().manual_seed(1)))

    settings = {**SETTINGS, "rank": 8}
    adapted = Cat(adapter_steps=12, adapter_rate=1e-2, **settings).autoencoder(base, DATA, 3)
    with torch.no_grad():
        assert error(adapted) < 0.99 * error(base.vae)


def test_dreambooth_learns_latents_of_the_adapted_autoencoder_and_the_mimic_decodes_with_it(base, monkeypatch):
    dreambooth._class_posterior.cache_clear()
    cat._drawn.cache_clear()
    drawn = []

    def pictures(model, text, count, _settings):
        drawn.append((model, text))
        return CLASS[:count]

    monkeypatch.setattr(dreambooth, "class_pictures", pictures)
    attack = Cat(adapter_steps=2, adapter_rate=1e-2, prior_weight=0.5, class_images=2, **SETTINGS)
    learned = attack.personalise(base, DATA, 3)
    cat._drawn.cache_clear()

    adapted = learned.model
    assert adapted.vae is not base.vae
    generator = torch.Generator().manual_seed(3)
    own = formula.draw(adapted, DATA.images, 2, generator)
    prior = formula.draw(adapted, to_tensor(CLASS), 2, generator)
    captions = [DATA.captions[row] for row in own.rows.tolist()]
    plain = formula.loss(base, base.unet, own, base.embed(captions))
    plain = plain + 0.5 * formula.loss(base, base.unet, prior, base.embed(["a painting"] * 2))
    assert learned.losses == pytest.approx([plain.item()], rel=1e-4)
    assert drawn == [(base, "a painting")]
    for parameter in adapted.vae.parameters():
        assert not parameter.requires_grad


def test_a_rank_below_one_is_refused():
    with pytest.raises(UserError, match="rank"):
        catalogue.find("mimicry", "cat").build({**SETTINGS, "adapter_steps": 1, "rank": 0})
