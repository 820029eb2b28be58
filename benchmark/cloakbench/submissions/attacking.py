"""Running an attack of an installed package: images in, images out, checked on the 8-bit pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from cloakbench.contract import AttackRequest, Countermeasure, Mimicry, Surrogate
from cloakbench.images import Pixels, to_tensor
from cloakbench.submissions import guard


@dataclass(frozen=True, slots=True, kw_only=True)
class AttackOrder:
    """What an attack is asked for, as plain values.

    Attributes:
        seed: Of the request's generator.
        class_word: What the images are.
        captions: One per image.
        token: The artist in the captions.
        prompts: What a mimicry generates, one image each.
        side: Side of the generated images in pixels.
    """

    seed: int
    class_word: str
    captions: Sequence[str]
    token: str = ""
    prompts: Sequence[str] = ()
    side: int = 0

    def request(self, model: Surrogate, members: Sequence[int]) -> AttackRequest:
        """Returns the request for some of the images, with a generator of its own."""
        return AttackRequest(
            model=model,
            generator=torch.Generator().manual_seed(self.seed),
            class_word=self.class_word,
            captions=tuple(self.captions[index] for index in members),
            token=self.token,
            prompts=tuple(self.prompts),
        )


def clean(
    countermeasure: Countermeasure, images: Sequence[Pixels], order: AttackOrder, model: Surrogate
) -> list[Pixels]:
    """Returns the cleaned images in 8 bit, same sizes; all images of one size are cleaned together.

    Raises:
        SubmissionFault: The countermeasure raised, ran out of memory, or returned other than images of these sizes.
    """

    def change(padded: Tensor, members: list[int]) -> Tensor:
        return guard.ask(partial(countermeasure.clean, padded, order.request(model, members)), "clean")

    return guard.changed_by_size(images, model.device, change)


def imitate(mimicry: Mimicry, images: Sequence[Pixels], order: AttackOrder, model: Surrogate) -> list[Pixels]:
    """Returns one generated image per prompt, in 8 bit, `order.side` pixels a side.

    Raises:
        SubmissionFault: The mimicry raised, ran out of memory, or returned other than one such image per prompt.
    """
    request = order.request(model, range(len(images)))
    returned = guard.ask(partial(mimicry.imitate, to_tensor(images).to(model.device), request), "imitate")
    return guard.accepted(returned, (len(order.prompts), 3, order.side, order.side))
