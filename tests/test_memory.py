"""Halving what is computed at once, and what it leaves the same."""

from __future__ import annotations

import cramped
import formula
import numpy as np
import pytest
import tiny
import torch

from cloakbench.attacks.context import Context
from cloakbench.attacks.countermeasures.diffpure import DiffPure
from cloakbench.attacks.countermeasures.impress import Impress
from cloakbench.attacks.editing.edit import Edit
from cloakbench.attacks.mimicry import dreambooth, sampling
from cloakbench.attacks.mimicry.dreambooth import DreamBooth
from cloakbench.attacks.mimicry.inversion import DreamStyler
from cloakbench.attacks.mimicry.lora import LoRA
from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.errors import UserError
from cloakbench.folders import settings
from cloakbench.images import to_tensor
from cloakbench.metrics import quality
from cloakbench.suites import load as suites
from cloakbench.system import free_memory, memory
from cloakbench.system.memory import OutOfMemory, at_once, within

PICTURES = [tiny.picture(n) for n in range(4)]
STEP = {"steps": 1, "batch": 3, "learning_rate": 1e-4}
PRIOR = {"prior_weight": 0.7, "class_images": 3}


def needing(most: int, count: int = 16, usual: int = 16):
    """Work that fits where at most `most` are computed together; tells how many it took each time."""
    tried = []

    def work():
        tried.append(at_once(usual, count))
        if tried[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    return work, tried


@pytest.mark.parametrize(
    ("most", "usual", "count", "tried", "chunk"),
    [(16, 16, 16, [16], None), (5, 16, 16, [16, 8, 4], 4), (1, 16, 3, [3, 1], 1), (2, 4, 99, [4, 2], 2)],
)
def test_it_is_halved_until_it_fits(most, usual, count, tried, chunk):
    work, result = needing(most, count, usual)
    assert within(work) == ("done", chunk)
    assert result == tried


def test_nothing_is_halved_outside():
    assert (at_once(16, 99), at_once(16, 3), at_once(16, 0)) == (16, 3, 1)
    work, _ = needing(1)
    within(work)
    assert at_once(16, 99) == 16


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_memory_of_the_machine_counts_too(error):
    def work():
        if at_once(4, 4) > 2:
            raise error
        return 1

    assert within(work) == (1, 2)


def test_where_one_does_not_fit_it_says_so():
    work, tried = needing(0)
    with pytest.raises(OutOfMemory, match="expected one image at a time to fit into memory, got CUDA out of memory"):
        within(work)
    assert tried == [16, 8, 4, 2, 1]


def test_on_a_gpu_it_says_what_would_fit(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 23 * 2**30)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda _: type("Properties", (), {"total_memory": 24 * 2**30})
    )
    error = memory._does_not_fit(torch.OutOfMemoryError(cramped.TOLD))
    assert "the GPU's 24.0 GiB, got CUDA out of memory. Tried to allocate 2.00 GiB." in error.message
    assert "23.0 GiB" in error.hint


def test_another_error_is_not_tried_again():
    calls = []

    def work():
        calls.append(at_once(4, 4))
        raise RuntimeError("the plan is missing")

    with pytest.raises(RuntimeError, match="the plan is missing"):
        within(work)
    assert calls == [4]


@pytest.fixture
def drawn_classes(monkeypatch):
    monkeypatch.setattr(dreambooth.sampling, "generate", lambda *_: PICTURES[:3])
    dreambooth._class_posterior.cache_clear()
    yield
    dreambooth._class_posterior.cache_clear()


@pytest.mark.parametrize(
    ("attack", "most"),
    [
        (DreamBooth(**STEP), 1),
        (DreamBooth(**STEP, **PRIOR), 3),
        (DreamBooth(**STEP, **PRIOR, train_text_encoder=True), 1),
        (LoRA(rank=2, alpha=2.0, **STEP), 1),
        (DreamStyler(stages=2, initial="painting", **STEP), 1),
    ],
    ids=["dreambooth", "with prior", "with text encoder", "lora", "words"],
)
@pytest.mark.usefixtures("drawn_classes")
def test_training_adds_up_the_gradients_of_the_same_batch(model, attack, most):
    with formula.watching() as whole:
        before = attack.personalise(model, formula.data(), 3)
    with formula.watching() as parted, cramped.room(unet=most) as refused:
        after, chunk = within(lambda: attack.personalise(model, formula.data(), 3))
    assert chunk == most
    assert refused
    formula.assert_equal_gradients(parted.gradients[-1], whole.gradients[-1])
    assert after.losses == pytest.approx(before.losses, rel=1e-5)


def apart(some, others):
    return max(np.abs(a.astype(int) - b.astype(int)).max() for a, b in zip(some, others, strict=True))


def context(model):
    return Context(range(4), [""] * 4, lambda _: model, lambda x, y: (x - y).square().mean((1, 2, 3)))


WORK = {
    "sampling": lambda m: sampling.generate(Personalised(m), ["a boat"] * 4, range(4), formula.SAMPLING),
    "editing": lambda m: Edit(0.5, 2, 3.0).apply(m, PICTURES, ["a boat"] * 4, range(4)),
    "diffpure": lambda m: DiffPure(0.5, 4, "mini-a", "a painting").apply(PICTURES, context(m)),
    "impress": lambda m: Impress("mini-a", steps=2, noise=0.0).apply(PICTURES, context(m)),
}


@pytest.mark.parametrize("name", WORK)
def test_images_differ_by_rounding_alone(model, name):
    whole = WORK[name](model)
    with cramped.room(unet=2, vae=1) as refused:
        parted, chunk = within(lambda: WORK[name](model))
    assert refused
    assert chunk == 1
    assert apart(whole, parted) <= 1


def test_metrics_of_pairs_are_halved_too(monkeypatch):
    seen = []
    original = quality.psnr

    def measured(one, other):
        seen.append(len(one))
        if len(one) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(one, other)

    before = quality.measure(["psnr"], PICTURES, PICTURES[::-1])
    monkeypatch.setattr(quality, "psnr", measured)
    after, chunk = within(lambda: quality.measure(["psnr"], PICTURES, PICTURES[::-1]))
    assert (seen, chunk) == ([4, 2, 1, 1, 1, 1], 1)
    assert after["psnr"] == pytest.approx(before["psnr"], rel=1e-5)


def test_gradients_can_be_added_up_of_nothing_but_tensors_that_ask(model):
    """Contexts that are fixed get no gradient."""
    from cloakbench.attacks.mimicry.finetune import Examples, FinetuneStep, fixed_contexts, posterior

    data = formula.data()
    examples = Examples(*posterior(model, to_tensor(PICTURES[:3])), fixed_contexts(model, data.captions))
    batch = examples.draw(model, 3, torch.Generator().manual_seed(0))
    assert not batch.context.requires_grad
    assert len(list(FinetuneStep(model).parts([batch]))) == 1


def test_an_allocation_beyond_the_free_memory_fails_and_later_ones_do_not(monkeypatch):
    monkeypatch.setattr(free_memory, "free_bytes", lambda: 64 << 20)
    with free_memory.bounded():
        torch.empty(40 << 20, dtype=torch.uint8)
        with pytest.raises(RuntimeError) as raised:
            torch.empty(400 << 20, dtype=torch.uint8)
        with pytest.raises(MemoryError):
            bytearray(400 << 20)
    assert memory.is_out_of_memory(raised.value)
    assert torch.empty(400 << 20, dtype=torch.uint8).nbytes == 400 << 20


STAT = "active 5\nfile 100000"
GROUP_FILES = {
    "v2": ("0::/app/run", "app/run", {"memory.max": "900000", "memory.current": "500000", "memory.stat": STAT}),
    "a parent of v2": ("0::/app/run", "app", {"memory.max": "900000", "memory.current": "400000"}),
    "v1": ("4:memory:/app", "memory/app", {"memory.limit_in_bytes": "900000", "memory.usage_in_bytes": "400000"}),
    "without a limit": ("0::/app", "app", {"memory.max": "max", "memory.current": "400000", "memory.stat": ""}),
}


@pytest.mark.parametrize("kind", GROUP_FILES)
def test_free_memory_is_that_of_the_control_group_where_it_has_less(tmp_path, monkeypatch, kind):
    line, folder, files = GROUP_FILES[kind]
    (tmp_path / folder).mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / folder / name).write_text(text + "\n")
    (tmp_path / "cgroup").write_text(f"7:cpu:/other\n{line}\n")
    monkeypatch.setattr(free_memory, "_PROCESS", tmp_path / "cgroup")
    monkeypatch.setattr(free_memory, "_GROUPS", tmp_path)
    free = free_memory.free_bytes()
    assert free == 500_000 if kind != "without a limit" else free > 1_000_000


def test_verbs_on_folders_compute_as_a_suite_on_a_gpu_and_halve_where_memory_runs_out():
    suite = suites.load("folder-sd")
    assert settings.precision(suite, "cuda") == torch.bfloat16
    assert settings.precision(suite, "cpu") == torch.float32
    tried = []

    def work():
        tried.append(at_once(8, 8))
        if tried[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert settings.within_memory(work) == "done"
    assert tried == [8, 4, 2]

    def never():
        at_once(8, 8)
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match="one image at a time"):
        settings.within_memory(never)
