from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cloakbench import pgd
from cloakbench.pgd import DescentSchedule

IMAGES = (torch.rand((2, 3, 8, 8), generator=torch.Generator().manual_seed(0)) * 255).round() / 255
EIGHT = 8 / 255


def fresh() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def towards(goal: float) -> pgd.Step:
    return pgd.by_autograd(lambda images: (images - goal).abs().flatten(1).sum(dim=1))


def levels(moved: Tensor) -> Tensor:
    return ((moved - IMAGES) * 255).round()


def test_goes_to_the_edge_of_the_budget_and_of_the_range() -> None:
    white = pgd.descend(IMAGES, EIGHT, towards(2.0), DescentSchedule(10, 0.5), fresh())
    assert torch.allclose(white, (IMAGES + EIGHT).clamp(max=1), atol=1e-6)


def test_a_budget_between_levels_is_rounded_down() -> None:
    moved = levels(pgd.descend(IMAGES, 7.9 / 255, towards(2.0), DescentSchedule(10, 0.5), fresh()))
    assert float(moved.max()) == 7


def test_constant_and_decaying_steps_add_up_as_the_schedule_says() -> None:
    flat, falling = DescentSchedule(4, 0.1), DescentSchedule(4, 0.1, final=0.2)
    assert [flat.share(n) for n in range(4)] == pytest.approx([0.1] * 4)
    assert [falling.share(n) for n in range(4)] == pytest.approx([0.1, 0.08, 0.06, 0.04])
    # From zero, four steps of a tenth of 100 levels: 40 levels towards white, where the range allows it.
    dark = torch.zeros(1, 3, 8, 8)
    moved = pgd.descend(dark, 100 / 255, towards(2.0), DescentSchedule(4, 0.1, start="zero", keep="last"), fresh())
    assert torch.allclose(moved * 255, torch.full_like(moved, 40.0))


def test_best_keeps_each_images_lowest_iterate_and_last_the_last() -> None:
    seen: list[Tensor] = []

    def jumping(images: Tensor, number: int) -> tuple[Tensor, Tensor]:
        seen.append(images)
        first = torch.tensor([5.0, 1.0, 3.0])[number]
        return torch.stack([first, 6 - first]), torch.full_like(images, -1.0)

    schedule = DescentSchedule(2, 0.25, start="zero", keep="best")
    moved = levels(pgd.descend(IMAGES * 0.5, EIGHT, jumping, schedule, fresh()) + IMAGES * 0.5)
    assert len(seen) == 3  # the last iterate is judged as well
    assert moved[0].unique().tolist() == [2]  # lowest after one step of 2 levels
    assert moved[1].unique().tolist() == [0]  # lowest at the start
    seen.clear()
    pgd.descend(IMAGES, EIGHT, jumping, DescentSchedule(2, 0.25, keep="last"), fresh())
    assert len(seen) == 2


def test_mask_is_the_share_of_the_budget_that_a_pixel_may_use() -> None:
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4], mask[..., 4] = 1.0, 0.5
    moved = levels(
        pgd.descend(IMAGES * 0.5, EIGHT, towards(2.0), DescentSchedule(10, 0.5), fresh(), mask) + IMAGES * 0.5
    )
    assert moved[..., :4].unique().tolist() == [8]
    assert moved[..., 4].unique().tolist() == [4]
    assert moved[..., 5:].unique().tolist() == [0]


def test_draws_add_up_gradients_and_average_values() -> None:
    turns = iter([(1.0, 3.0), (3.0, -1.0)] * 3)

    def step(images: Tensor, _number: int) -> tuple[Tensor, Tensor]:
        value, slope = next(turns)
        return torch.full((len(images),), value), torch.full_like(images, slope)

    moved = pgd.descend(
        torch.full((1, 3, 8, 8), 0.5),
        EIGHT,
        step,
        DescentSchedule(1, 0.25, draws=2, start="zero", keep="last"),
        fresh(),
    )
    assert torch.allclose(moved, torch.full_like(moved, 0.5 - 2 / 255))  # 3 - 1 > 0: down by a quarter of 8 levels
    value, gradient = pgd._accumulated(step, IMAGES, 0, 2)
    assert value.tolist() == [2.0, 2.0]
    assert gradient.unique().tolist() == [2.0]


def test_a_start_does_not_depend_on_how_many_images_follow() -> None:
    nothing = pgd.by_autograd(lambda images: 0 * images.flatten(1).sum(dim=1))
    both = pgd.descend(IMAGES, EIGHT, nothing, DescentSchedule(1, 0.1), fresh())
    alone = pgd.descend(IMAGES[:1], EIGHT, nothing, DescentSchedule(1, 0.1), fresh())
    assert torch.equal(both[:1], alone)
    assert float(levels(both).abs().max()) == 8


@pytest.mark.parametrize(
    ("change", "word"),
    [({"steps": 0}, "steps"), ({"steps": True}, "steps"), ({"alpha": -1.0}, "alpha"), ({"final": "x"}, "final"),
     ({"draws": 0}, "draws"), ({"start": "middle"}, "start"), ({"keep": "all"}, "keep")],
)  # fmt: skip
def test_refuses_bad_schedules(change: dict[str, object], word: str) -> None:
    with pytest.raises(ValueError, match=f"{word}: expected .* got"):
        DescentSchedule(**{"steps": 5, "alpha": 0.1, **change})  # type: ignore[arg-type]
