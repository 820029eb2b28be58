"""The adapters against plain matrices, and our files against stock diffusers."""

from __future__ import annotations

import math

import formula
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry.lora import LoRA
from cloakbench.attacks.mimicry.sampling import generate, starting_noise
from cloakbench.errors import UserError
from cloakbench.models import loader
from cloakbench.schemas.suite import Sampling

DATA = formula.data()
RANK, ALPHA = 4, 10.0
PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")
PLAN = Sampling(prompts=["x"], per_prompt=1, steps=4, guidance=3.0, scheduler="ddim")
TEXT, SEEDS = "a painting by sks", [3, 8]


def attack(steps=2, learning_rate=1e-2):
    return LoRA(rank=RANK, alpha=ALPHA, steps=steps, batch=2, learning_rate=learning_rate)


def projections(unet):
    return [module for name, module in unet.named_modules() if name.endswith(PROJECTIONS)]


def adapted(unet, adapters):
    """A copy in which every projection gives W x + alpha / rank B A x, with adapters [A, B, A, B, ...]."""
    plain = formula.copied(unet).requires_grad_(False)
    for module, a, b in zip(projections(plain), adapters[::2], adapters[1::2], strict=True):
        module.register_forward_hook(lambda _m, x, out, a=a, b=b: out + ALPHA / RANK * (x[0] @ a.T @ b.T))
    return plain


def test_two_steps_are_those_of_plain_matrices(base):
    """The first step has gradients in B alone, which starts at 0; the second has some in A too."""
    with formula.watching() as seen:
        learned = attack().personalise(base, DATA, 6)

    generator = torch.Generator().manual_seed(6)
    for step, (started, gradients) in enumerate(zip(seen.before, seen.gradients, strict=True)):
        drawn = formula.draw(base, DATA.images, 2, generator)
        adapters = [weight.requires_grad_(True) for weight in started]
        plain = formula.loss(
            base, adapted(base.unet, adapters), drawn, base.embed([DATA.captions[row] for row in drawn.rows.tolist()])
        )
        plain.backward()
        assert learned.losses[step] == pytest.approx(plain.item(), rel=1e-5)
        expected = formula.limited([w.grad for w in adapters])
        formula.assert_equal_gradients(gradients[1::2], expected[1::2])
        if step:
            formula.assert_equal_gradients(gradients[::2], expected[::2])


def test_adapters_start_as_the_paper_says(model):
    with formula.watching() as seen:
        attack().personalise(model, DATA, 1)
    downs, ups = seen.before[0][::2], seen.before[0][1::2]
    assert len(downs) == len(ups) == len(projections(model.unet)) > 0
    for a, b in zip(downs, ups, strict=True):
        assert a.shape[0] == b.shape[1] == RANK
    for b in ups:
        assert not b.any()
    assert torch.cat([a.flatten() for a in downs]).std().item() == pytest.approx(1 / RANK, rel=0.1)


def test_only_adapters_train(model):
    with formula.watching() as seen:
        learned = attack().personalise(model, DATA, 1)
    now, before = formula.weights(learned.model.unet), formula.weights(model.unet)
    adapters = [weight for name, weight in now.items() if "lora_" in name]
    for name, weight in before.items():
        inner = name if name in now else ".base_layer.".join(name.rsplit(".", 1))
        assert torch.equal(now[inner], weight), name
    assert len(now) == len(before) + len(adapters)
    assert len(adapters) == len(seen.before[0])
    for a, b in zip(adapters, seen.after[-1], strict=True):
        assert torch.equal(a, b)
    for a, b in zip(adapters, seen.before[0], strict=True):
        assert not torch.equal(a, b)


def test_nothing_changes_before_it_is_trained(model, monkeypatch):
    monkeypatch.setattr("cloakbench.attacks.mimicry.lora.finetune", lambda *_: ())
    untrained = attack().personalise(model, DATA, 1).model.unet
    noise, context = torch.randn((2, 4, 16, 16), generator=torch.Generator().manual_seed(0)), model.embed(["a", "b"])
    with torch.no_grad():
        expected = model.unet(noise, torch.tensor([3, 700]), encoder_hidden_states=context).sample
        sample = untrained(noise, torch.tensor([3, 700]), encoder_hidden_states=context).sample
    assert torch.allclose(sample, expected, atol=1e-6)


def test_adapters_train_in_float32_on_a_bfloat16_model(stand_ins):
    half = loader.load("mini-a", "cpu", torch.bfloat16)
    with formula.watching() as seen:
        learned = attack(learning_rate=5e-7).personalise(half, DATA, 1)
    noted = [*seen.before[0], *seen.gradients[0], *seen.states[0]]
    assert {tensor.dtype for tensor in noted} == {torch.float32}
    large = [a.abs() > 0.05 for a in seen.before[0]]
    moved = []
    for new, old, kept in zip(seen.after[-1], seen.before[0], large, strict=True):
        moved.append((new != old)[kept])
    # In bfloat16 none would; those with next to no gradient rest in float32 too.
    assert torch.cat(moved).float().mean() > 0.5
    assert {p.dtype for p in learned.model.unet.parameters()} == {torch.bfloat16}
    assert {p.dtype for p in half.unet.parameters()} == {torch.bfloat16}
    for loss in learned.losses:
        assert math.isfinite(loss)


@pytest.fixture(scope="module")
def saved(weights, tmp_path_factory):
    """Of each base model: a mimic whose adapters change the image, and the file they were saved in."""
    by_name = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOAKBENCH_MODELS", str(weights))
        for name in ("mini-a", "mini-b"):
            path = tmp_path_factory.mktemp(name) / "lora.safetensors"
            mimic = attack(learning_rate=0.1).personalise(loader.load(name), DATA, 2)
            mimic.save(path)
            by_name[name] = mimic, path
    return by_name


def stock(folder, base):
    pipe = StableDiffusionPipeline.from_pretrained(folder / base.name, safety_checker=None, local_files_only=True)
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def drawn_by(pipe, base, text=TEXT):
    images = pipe(
        [text] * len(SEEDS),
        latents=starting_noise(base, SEEDS),
        num_inference_steps=PLAN.steps,
        guidance_scale=PLAN.guidance,
        output_type="np",
    ).images
    return np.rint(images * 255).astype(int)


def apart(ours, theirs):
    return int(np.abs(np.stack(ours).astype(int) - theirs).max())


def test_a_stock_pipeline_with_our_file_draws_our_images(base, saved, stand_ins):
    mimic, path = saved[base.name]
    ours = generate(mimic, [TEXT] * len(SEEDS), SEEDS, PLAN)
    pipe = stock(stand_ins, base)
    assert apart(ours, drawn_by(pipe, base)) > 1
    pipe.load_lora_weights(path.parent, weight_name=path.name)
    assert apart(ours, drawn_by(pipe, base)) <= 1


def test_a_stock_pipeline_would_take_another_alpha_without_the_files_metadata(base, saved, stand_ins, tmp_path):
    """So the test above can fail."""
    mimic, path = saved[base.name]
    save_file(load_file(path), tmp_path / "bare.safetensors")
    pipe = stock(stand_ins, base)
    pipe.load_lora_weights(tmp_path, weight_name="bare.safetensors")
    assert apart(generate(mimic, [TEXT] * len(SEEDS), SEEDS, PLAN), drawn_by(pipe, base)) > 1


def test_the_file_holds_the_adapters_alone(model, saved):
    mimic, path = saved["mini-a"]
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        assert file.metadata()["format"] == "pt"
    assert names == set(mimic.adapters)
    assert len(names) == 2 * len(projections(model.unet))
    for name in names:
        assert name.startswith("unet.")
        assert "lora" in name


@pytest.mark.parametrize("wrong", [{"rank": 0}, {"alpha": 0.0}, {"steps": 0}, {"colour": "red"}])
def test_wrong_parameters_are_refused(wrong):
    parameters = {"rank": 2, "alpha": 2.0, "steps": 1, "batch": 1, "learning_rate": 1e-3, **wrong}
    with pytest.raises(UserError, match="mimicry 'lora' does not take"):
        catalogue.find("mimicry", "lora").build(parameters)
