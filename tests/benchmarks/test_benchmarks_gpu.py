"""On a GPU: what is captured and compiled learns and draws what the same does kernel by kernel."""

from __future__ import annotations

import formula
import numpy as np
import pytest
import random_sd15
import torch
from step_clock import eagerly

from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.dreambooth import DreamBooth
from cloakbench.attacks.mimicry.inversion import TextualInversion
from cloakbench.attacks.mimicry.lora import LoRA
from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.models import loader
from cloakbench.models.autoencoders import Autoencoder
from cloakbench.schemas.suite import Sampling

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is here")]
FEW = {"steps": 6, "batch": 2, "learning_rate": 1e-3}
ATTACKS = {
    "dreambooth": DreamBooth(**FEW),
    "prior": DreamBooth(**FEW, prior_weight=0.5, class_images=2),
    "text encoder": DreamBooth(**FEW, train_text_encoder=True),
    "average": DreamBooth(**FEW, average=0.9),
    "lora": LoRA(rank=2, alpha=4.0, **FEW),
    "textual-inversion": TextualInversion(initial="boat", **FEW),
}


@pytest.fixture
def exact(monkeypatch):
    """Single precision in full: TensorFloat-32 rounds more than what is looked for."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_captured_training_has_the_losses_and_gradients_of_one_kernel_by_kernel(name, exact):
    """The first step's are compared, and the second's: AdamW makes a whole step of the least difference after them."""
    model, attack = loader.load("mini-a", "cuda"), ATTACKS[name]
    with formula.watching() as captured:
        losses = attack.personalise(model, formula.data(), 1).losses
    with eagerly(), formula.watching() as plain:
        expected = attack.personalise(model, formula.data(), 1).losses
    assert losses[:2] == pytest.approx(expected[:2], rel=1e-4)
    ours = torch.cat([gradient.flatten() for gradient in captured.gradients[0]])
    theirs = torch.cat([gradient.flatten() for gradient in plain.gradients[0]])
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-3


def test_gradients_of_a_captured_training_are_given_back():
    model = loader.load("mini-a", "cuda")
    learned = ATTACKS["dreambooth"].personalise(model, formula.data(), 1).model
    for weight in learned.unet.parameters():
        assert weight.grad is None


def test_a_compiled_denoiser_draws_the_same_and_serves_other_weights():
    torch.manual_seed(0)
    models = []
    for _ in range(2):
        models.append(random_sd15.build(random_sd15.NARROW, torch.device("cuda"), torch.bfloat16))
    settings = Sampling(prompts=["a {class_word}"], per_prompt=1, steps=4, guidance=3.0)
    for model in models:
        drawn = np.stack(sampling.generate(Personalised(model), ["a painting"] * 4, range(4), settings))
        with eagerly():
            plain = np.stack(sampling.generate(Personalised(model), ["a painting"] * 4, range(4), settings))
        assert np.abs(drawn.astype(int) - plain).mean() < 2
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 2  # the second model compiled nothing


def test_a_compiled_autoencoder_is_the_given_one_but_for_rounding():
    model = random_sd15.build(random_sd15.NARROW, torch.device("cuda"), torch.bfloat16)
    bare = Autoencoder(model.vae, model.divisor, model.device, model.dtype)
    images = formula.data().images.to("cuda") * 2 - 1
    ours, plain = (vae.decode(vae.encode(images)) for vae in (bare.compiled(), bare))
    assert float((ours - plain).norm() / plain.norm()) < 0.05
    assert bare.compiled().module is not bare.module
