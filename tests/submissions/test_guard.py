from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from cloakbench.contract import Protection, Request
from cloakbench.image_files import decode
from cloakbench.images import Pixels, measure_budget
from cloakbench.schemas.kinds import Status
from cloakbench.submissions.guard import SubmissionFault, run


class Scripted(Protection):
    """A protection that does what a test says."""

    title = "Scripted"

    def __init__(self, does: Callable[[Tensor, Request], object]) -> None:
        self.does = does

    def protect(self, images: Tensor, request: Request) -> Tensor:
        return self.does(images, request)


class Perceptual(Scripted):
    budget = "perceptual"


def pictures(*sizes: tuple[int, int]) -> list[Pixels]:
    rng = np.random.default_rng(0)
    return [rng.integers(20, 235, (h, w, 3), dtype=np.uint8) for h, w in sizes or ((16, 24), (16, 24))]


def shift(levels: float) -> Callable[[Tensor, Request], Tensor]:
    return lambda images, request: images + levels / 255


def noise(images: Tensor, request: Request) -> Tensor:
    signs = torch.randint(2, images.shape, generator=request.generator) * 2 - 1
    return images + signs * 4 / 255


def test_returns_what_was_saved(call) -> None:
    images = pictures()
    done = run(Scripted(shift(8)), images, call(2))
    for before, after, png, budget in zip(images, done.images, done.pngs, done.budgets, strict=True):
        assert np.array_equal(after, before + 8)
        assert np.array_equal(decode(png), after)
        assert budget == measure_budget(before, after)
        assert budget.max_255 == 8


def test_hands_over_what_the_contract_says(call) -> None:
    seen: list[tuple[Tensor, Request]] = []

    def look(images: Tensor, request: Request) -> Tensor:
        seen.append((images, request))
        assert torch.is_grad_enabled()
        return images

    images = pictures((16, 24))
    with torch.no_grad():
        run(Scripted(look), images, call(1, strength=0.25))
        assert not torch.is_grad_enabled()
    ((given, request),) = seen
    assert given.dtype == torch.float32
    assert given.shape == (1, 3, 16, 24)
    assert torch.equal((given[0] * 255).round().byte().permute(1, 2, 0), torch.from_numpy(images[0]))
    assert request.epsilon == pytest.approx(4 / 255)
    assert (request.strength, request.class_word, request.captions) == (0.25, "painting", ("painting 0",))


@pytest.mark.parametrize(
    ("does", "told"),
    [
        (lambda x, r: None, r"torch.Tensor from protect, got NoneType"),
        (lambda x, r: x.numpy(), r"torch.Tensor from protect, got ndarray"),
        (lambda x, r: x[:, :, :8], r"\[2, 3, 16, 24\], got \[2, 3, 8, 24\]"),
        (lambda x, r: x[:1], r"\[2, 3, 16, 24\], got \[1, 3, 16, 24\]"),
        (lambda x, r: (x * 255).byte(), r"floating-point .* got torch.uint8"),
        (lambda x, r: x * float("nan"), r"finite values, got 2304 NaN or infinite of 2304"),
        (lambda x, r: x / 0, r"finite values"),
        (lambda x, r: x * 2 - 1, r"values in \[0, 1\], got -0.8"),
        (lambda x, r: x * 255, r"values in \[0, 1\], got .* to 234"),
        (lambda x, r: x + 9 / 255, r"within 8 levels .* \(budget 16/255, strength 0.5\), got 9 levels in image 0"),
    ],
)
def test_broken_output_is_invalid_and_says_how(call, does, told: str) -> None:
    with pytest.raises(SubmissionFault, match=f"expected .*{told}") as caught:
        run(Scripted(does), pictures(), call(2))
    assert caught.value.status is Status.INVALID_OUTPUT
    assert caught.value.hint


@pytest.mark.parametrize(("strength", "levels"), [(0.25, 4), (0.5, 8), (1.0, 16)])
def test_budget_is_held_to_the_level(call, strength: float, levels: int) -> None:
    assert run(Scripted(shift(-levels)), pictures(), call(2, strength)).budgets[0].max_255 == levels
    with pytest.raises(SubmissionFault, match=f"within {levels} levels"):
        run(Scripted(shift(-levels - 1)), pictures(), call(2, strength))


def test_one_pixel_over_the_budget_names_its_image(call) -> None:
    def poke(images: Tensor, request: Request) -> Tensor:
        images[1, 2, 5, 7] += 9 / 255
        return images

    with pytest.raises(SubmissionFault, match="image 1"):
        run(Scripted(poke), pictures(), call(2))


def test_perceptual_budgets_have_no_limit_in_levels(call) -> None:
    assert run(Perceptual(shift(15)), pictures(), call(2, 0.25)).budgets[0].max_255 == 15


def test_float_noise_outside_the_range_is_forgiven(call) -> None:
    white = [np.full((8, 8, 3), 255, dtype=np.uint8)]
    assert np.array_equal(run(Scripted(lambda x, r: x + 5e-5), white, call(1)).images[0], white[0])


def test_half_precision_output_is_accepted(call) -> None:
    images = pictures()
    saved = run(Scripted(lambda x, r: x.half()), images, call(2)).images
    for a, b in zip(images, saved, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("shapes do not fit"), Status.FAILED),
        (SystemExit(1), Status.FAILED),
        (SubmissionFault(Status.OK, "all is well"), Status.FAILED),
        (MemoryError(), Status.OOM),
        (torch.OutOfMemoryError("CUDA out of memory"), Status.OOM),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), Status.OOM),
    ],
)
def test_exceptions_become_faults_with_their_traceback(call, error: BaseException, status: Status) -> None:
    def explode(images: Tensor, request: Request) -> Tensor:
        raise error

    with pytest.raises(SubmissionFault, match=type(error).__name__) as caught:
        run(Scripted(explode), pictures(), call(2))
    assert caught.value.status is status
    assert caught.value.__cause__ is error
    assert "in explode" in caught.value.traceback


def test_a_long_complaint_is_one_short_sentence(call) -> None:
    def rant(images: Tensor, request: Request) -> Tensor:
        raise ValueError("x" * 5000 + "\nmore")

    with pytest.raises(SubmissionFault) as caught:
        run(Scripted(rant), pictures(), call(2))
    assert len(caught.value.message) < 400
    assert "more" in caught.value.traceback


def test_ctrl_c_is_not_the_submissions_fault(call) -> None:
    def interrupted(images: Tensor, request: Request) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(Scripted(interrupted), pictures(), call(2))


def test_changing_the_input_harms_nobody(call) -> None:
    def ruin(images: Tensor, request: Request) -> Tensor:
        return images.add_(8 / 255)

    images = pictures()
    before = [image.copy() for image in images]
    done = run(Scripted(ruin), images, call(2))
    for a, b in zip(images, before, strict=True):
        assert np.array_equal(a, b)
    assert done.budgets[0].max_255 == 8


@pytest.mark.parametrize("fails", [False, True])
def test_global_state_is_put_back(call, fails: bool) -> None:
    def meddle(images: Tensor, request: Request) -> Tensor:
        torch.manual_seed(0)
        np.random.seed(0)
        random.seed(0)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.set_num_threads(threads + 1)
        torch.use_deterministic_algorithms(True)
        if fails:
            raise ValueError("on purpose")
        return images

    threads = torch.get_num_threads()
    torch.manual_seed(11)
    np.random.seed(11)
    random.seed(11)
    expected = (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random())
    torch.manual_seed(11)
    np.random.seed(11)
    random.seed(11)
    try:
        run(Scripted(meddle), pictures(), call(2))
    except SubmissionFault:
        assert fails
    assert (torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()) == expected
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_mixed_and_odd_sizes_keep_their_order_and_geometry(call) -> None:
    shapes: list[tuple[int, ...]] = []
    captions: list[str] = []

    def note(images: Tensor, request: Request) -> Tensor:
        shapes.append(tuple(images.shape))
        captions.extend(request.captions)
        return images + 2 / 255

    images = pictures((16, 16), (13, 21), (16, 16), (3, 1))
    done = run(Scripted(note), images, call(4))
    assert sorted(shapes) == [(1, 3, 8, 8), (1, 3, 16, 24), (2, 3, 16, 16)]
    assert captions == ["painting 0", "painting 2", "painting 1", "painting 3"]
    for before, after in zip(images, done.images, strict=True):
        assert np.array_equal(after, before + 2)


def test_padding_is_a_reflection(call) -> None:
    def check(images: Tensor, request: Request) -> Tensor:
        assert torch.equal(images[..., 13, :], images[..., 11, :])
        assert torch.equal(images[..., :, 21], images[..., :, 19])
        return images

    run(Scripted(check), pictures((13, 21)), call(1))


def test_same_seed_same_bytes_other_seed_other_bytes(call) -> None:
    first, again, other = (run(Scripted(noise), pictures(), call(2, seed=s)).pngs for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_misuse_by_the_harness_is_no_fault_of_the_submission(call) -> None:
    with pytest.raises(ValueError, match="one caption each, got 2 and 3"):
        run(Scripted(noise), pictures(), call(3))
    with pytest.raises(ValueError, match=r"strength in \(0, 1\], got 1.5"):
        call(1, strength=1.5)
