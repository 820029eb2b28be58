from __future__ import annotations

import copy
from dataclasses import replace

import formula
import inpainting
import numpy as np
import pytest
import tiny
import torch
from torch._dynamo.testing import CompileCounter, CompileCounterWithBackend

from cloakbench.attacks import catalogue
from cloakbench.attacks.mimicry import sampling
from cloakbench.attacks.mimicry.lora import LoRA
from cloakbench.models import autoencoders, compiled, loader
from cloakbench.schemas.suite import Diffusing


def test_nothing_is_compiled_on_a_cpu_in_single_precision_or_without_a_compiler(monkeypatch):
    gpu, half = torch.device("cuda"), torch.bfloat16
    network = torch.nn.Linear(1, 1)
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(compiled.shutil, "which", lambda name: "/bin/cc" if name == "gcc" else None)
    assert compiled.is_possible(gpu, half)
    assert not compiled.is_possible(torch.device("cpu"), half)
    assert not compiled.is_possible(gpu, torch.float32)
    assert compiled.compiled(network, torch.device("cpu"), half) is network
    monkeypatch.setattr(compiled.shutil, "which", lambda _: None)
    assert not compiled.is_possible(gpu, half)
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda _: None)
    assert not compiled.is_possible(gpu, half)


@pytest.fixture
def programs(model, monkeypatch):
    """Counts the programs that are compiled; they then run as they are."""
    counter = CompileCounter()
    torch._dynamo.reset()
    monkeypatch.setattr(sampling, "compiled", lambda network, *_: torch.compile(network, backend=counter))
    yield counter
    torch._dynamo.reset()


@pytest.fixture
def autoencoder_programs(monkeypatch):
    """Counts the programs that autoencoders are compiled to; they then run as they are."""
    counter = CompileCounter()
    torch._dynamo.reset()

    def compile_in_place(module):
        module._compiled_call_impl = torch.compile(module._call_impl, backend=counter)

    monkeypatch.setattr(autoencoders, "is_possible", lambda *_: True)
    monkeypatch.setattr(torch.nn.Module, "compile", compile_in_place)
    yield counter
    torch._dynamo.reset()


def other_cell(model, adapter=False):
    """The model with other weights of its denoiser, as the next cell's mimic has."""
    unet = copy.deepcopy(model.unet)
    for weight in unet.parameters():
        weight.data = weight.data * 1.01
    if adapter:
        unet.add_adapter(LoRA(rank=2, alpha=2.0, steps=1, batch=1, learning_rate=1e-3).adapters)
    return replace(model, unet=unet.eval().requires_grad_(False))


def draw(model, count):
    settings = Diffusing(steps=2, guidance=3.0)
    noise = sampling.starting_noise(model, range(count))
    sampling.denoise(model, noise, (model.embed([""])[None], model.embed(["a boat"] * count)[None]), settings)


@pytest.mark.long
def test_nothing_is_compiled_again_from_cell_to_cell(model, programs):
    draw(model, 4)
    assert programs.frame_count == 1
    draw(other_cell(model), 4)
    assert programs.frame_count == 1
    for _ in range(2):  # adapters are other code: compiled once for all cells
        draw(other_cell(model, adapter=True), 4)
        assert programs.frame_count == 2
    for count in (2, 3, 4):  # the second size is compiled for all further ones
        draw(other_cell(model), count)
        assert programs.frame_count == 3


def mimic(model, name, seed):
    """What a cell's mimic has learned from two pictures in one step."""
    adapters = {"rank": 2, "alpha": 2.0} if name == "lora" else {}
    recipe = {"steps": 1, "batch": 1, "learning_rate": 1e-3}
    stage = catalogue.find("mimicry", name).build({**adapters, **recipe})
    return stage.personalise(model, formula.data(2), seed)


@pytest.mark.long
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_cells_of_two_mimicries_are_drawn_by_one_program_each(model, monkeypatch, backend):
    """Whatever the number of their images is; the denoiser is compiled by the machine's own compiler too."""
    counter = CompileCounterWithBackend(backend)
    torch._dynamo.reset()
    monkeypatch.setattr(sampling, "compiled", lambda network, *_: torch.compile(network, backend=counter))
    monkeypatch.setattr(sampling, "is_possible", lambda *_: True)
    counts = []
    cells = [("dreambooth", 3), ("dreambooth", 5), ("lora", 3), ("lora", 5), ("lora", 2), ("dreambooth", 4)]
    for seed, (name, images) in enumerate(cells):
        settings = Diffusing(steps=2, guidance=3.0)
        sampling.generate(mimic(model, name, seed), ["a boat"] * images, range(images), settings, chunk=2)
        counts.append(counter.frame_count)
    torch._dynamo.reset()
    assert counts == [1, 1, 2, 2, 2, 2]


def test_a_shorter_part_is_filled_up_and_cut_off_again(model, monkeypatch):
    learned, seen = mimic(model, "lora", 1), []
    expected = sampling.generate(learned, ["a boat"] * 3, range(3), Diffusing(steps=2, guidance=3.0), chunk=2)

    def counted(network, *_):
        def run(latents, *others, **named):
            seen.append(len(latents))
            return network(latents, *others, **named)

        return run

    monkeypatch.setattr(sampling, "compiled", counted)
    monkeypatch.setattr(sampling, "is_possible", lambda *_: True)
    ours = sampling.generate(learned, ["a boat"] * 3, range(3), Diffusing(steps=2, guidance=3.0), chunk=2)
    assert seen == [4] * 4  # two images with guidance, two parts, two steps
    assert len(ours) == 3
    for pixels, plain in zip(ours, expected, strict=True):
        assert np.abs(pixels.astype(int) - plain).max() <= 1


@pytest.mark.long
def test_an_autoencoder_is_compiled_once_for_all_cells(stand_ins, autoencoder_programs):
    vae = autoencoders.load("mini-a", torch.device("cpu"), torch.float32)
    images = torch.rand(2, 3, 64, 64)
    counts = []
    for _ in range(3):
        compiled_vae = vae.compiled()
        x = images.clone().requires_grad_()
        compiled_vae.decode(compiled_vae.encode(x)).square().mean().backward()
        assert x.grad is not None
        counts.append(autoencoder_programs.frame_count)
    assert counts[0] > 0
    assert counts == [counts[0]] * 3


@pytest.mark.long
@pytest.mark.parametrize("name", ["inpaint", "edit-instruct"])
def test_an_editing_is_compiled_once_for_all_its_images(sd_weights, programs, name):
    model = loader.load(str(sd_weights / {"inpaint": "sd15-inpaint"}.get(name, "instruct-pix2pix")))
    further = {"image_guidance": 1.5} if name == "edit-instruct" else {}
    stage = catalogue.find("editing", name).build({"steps": 2, "guidance": 3.0, **further})
    pictures = [tiny.picture(n, 64, 64) for n in range(2)]
    masks = [inpainting.mask(n, 64, 64) for n in range(2)]
    counts = []
    for first_seed in range(3):
        stage.apply(model, pictures, ["a boat"] * 2, [first_seed, first_seed + 1], masks)
        counts.append(programs.frame_count)
    assert counts[0] > 0
    assert counts == [counts[0]] * 3
