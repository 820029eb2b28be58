"""What a submitter imports: the class to write and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Surrogate:
    """The white-box diffusion model whose gradients a protection may use; its weights are frozen.

    `vae`, `unet`, `text_encoder`, `tokenizer` and `scheduler` are the diffusers and transformers objects of the
    suite's surrogate model. `perceptual(x, y)` takes two image tensors `[B, 3, H, W]` in [0, 1] and returns a
    differentiable distance `[B]` (mini-lpips on the mini suites, LPIPS elsewhere).
    """

    name: str
    vae: Any
    unet: Any
    text_encoder: Any
    tokenizer: Any
    scheduler: Any
    perceptual: Callable[[Tensor, Tensor], Tensor]
    device: torch.device
    dtype: torch.dtype


class ClipModel(Protocol):
    """A CLIP model: features of images, with gradients, and of texts."""

    def encode_images(self, images: Tensor) -> Tensor:
        """Returns unit-length features `[B, d]` of images `[B, 3, H, W]` in [0, 1]."""

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Returns unit-length features `[N, d]` of texts."""


def _seeded() -> torch.Generator:
    import torch

    return torch.Generator().manual_seed(0)


@dataclass(frozen=True, slots=True)
class Request:
    """The inputs of one call of a protection in addition to the images.

    `strength` is in (0, 1]; `epsilon` is the L-infinity budget it stands for, in units of [0, 1] images (the
    suite's largest budget times the strength). `generator` is a seeded CPU generator, the only source of randomness
    allowed. `class_word` says what the images are ("painting"); `captions` has one caption per image.

    `masks` `[B, 1, H, W]` are 1 where the image may be repainted and 0 elsewhere, None where the images have none. What
    follows is there for protections that name it in `needs`: `class_images` `[N, 3, H, W]` in [0, 1] on the CPU, which
    the suite's mimic trains with beside the artist's; `models`, further base models by alias; `clip`, the suite's CLIP.
    """

    strength: float
    epsilon: float
    surrogate: Surrogate
    generator: torch.Generator = field(default_factory=_seeded)
    class_word: str = "painting"
    captions: Sequence[str] = ()
    masks: Tensor | None = None
    class_images: Tensor | None = None
    models: Mapping[str, Surrogate] = field(default_factory=dict)
    clip: ClipModel | None = None


@dataclass(frozen=True, slots=True)
class AttackRequest:
    """The inputs of an attack in addition to the protected images: no clean image, and nothing of the protection.

    `model` is the diffusion model that the mimic has; its weights are frozen, so copy what you train. `generator` is a
    seeded CPU generator, the only source of randomness allowed. `class_word` says what the images are ("painting");
    `captions` has one caption per image, in which `token` stands for the artist. `prompts` are what a `Mimicry` is to
    generate, one image each; a `Countermeasure` has none.
    """

    model: Surrogate
    generator: torch.Generator = field(default_factory=_seeded)
    class_word: str = "painting"
    captions: Sequence[str] = ()
    token: str = ""
    prompts: Sequence[str] = ()


class Entry(ABC):
    """What protections and attacks of installed packages have in common: the facts about them.

    Keyword arguments of the constructor (JSON scalars) are the parameters: `name[steps=50]` on every command line
    builds `YourClass(steps=50)`.
    """

    title: ClassVar[str]
    """Name as the field writes it, such as "PhotoGuard (encoder attack)"."""
    paper: ClassVar[str] = ""
    """Address of the paper."""
    paper_title: ClassVar[str] = ""
    """Title of the paper, for references; empty: the reference has none."""
    authors: ClassVar[str] = ""
    """Authors of the paper as BibTeX writes them: `Liang and others`; empty: the reference names none."""
    licence: ClassVar[str] = ""
    """Licence of the submission's code."""
    contact: ClassVar[str] = ""
    """Where the authors of the submission's code answer: address of a page, or e-mail; empty: pages name none."""
    needs: frozenset[str] = frozenset()
    """What the submission cannot do without; a protection whose need is not met is skipped with the reason.

    `surrogate`; `mask`: `Request.masks`; `class-images`: `Request.class_images`; `clip`: `Request.clip`; `gpu`;
    `vram:24`: a GPU with 24 GiB; `model:sd21-base`: a further base model by its alias, in `Request.models`. An instance
    may need more than its class."""
    surrogates: ClassVar[frozenset[str] | None] = None
    """Aliases of the models that a protection is prepared for, for one that trains beforehand; None: any."""
    preparation: ClassVar[str] = ""
    """Command that prepares it for another model, with `{model}` for the alias."""
    deterministic: ClassVar[bool] = True
    """Whether the same generator state gives the same output on one machine; `cloakbench check` compares two runs."""

    defaults: Mapping[str, Mapping[str, bool | int | float | str]] = MappingProxyType({})
    """Values of parameters that the user leaves out and that depend on the surrogate: by its family (`mini` or
    `stable-diffusion`), then by parameter. An instance may have its own. `cloakbench.whitebox.settings` chooses among
    them, and records and pages show the chosen ones."""


class Protection(Entry):
    """A defense: subclass it, set the facts, write `protect`, and name the class in an entry point.

    The entry-point group is `cloakbench.protections`.
    """

    budget: ClassVar[Literal["linf", "perceptual", "ready-made"]] = "linf"
    """Asked once, before anything runs. `linf`: every pixel stays within `Request.epsilon`; `perceptual`: no limit,
    calibrated points only; `ready-made`: no such limit either, images that exist at some strengths already, so never
    calibrated."""

    @abstractmethod
    def protect(self, images: Tensor, request: Request) -> Tensor:
        """Returns the protected images: same shape `[B, 3, H, W]`, values in [0, 1], B images of one artist."""


class Countermeasure(Entry):
    """What a mimic does to protected images before it learns from them: subclass it and write `clean`.

    The entry-point group is `cloakbench.countermeasures`.
    """

    knowledge: ClassVar[Literal["oblivious", "tool", "pairs"]] = "oblivious"
    """What its author knew: nothing of a protection; which tool it was; images before and after that tool."""

    @abstractmethod
    def clean(self, images: Tensor, request: AttackRequest) -> Tensor:
        """Returns the cleaned images: same shape `[B, 3, H, W]`, values in [0, 1], all B images of one artist."""


class Mimicry(Entry):
    """What a mimic does to learn a style and to generate in it: subclass it and write `imitate`.

    The entry-point group is `cloakbench.mimicry`.
    """

    knowledge: ClassVar[Literal["oblivious", "tool", "pairs"]] = "oblivious"
    """As of a countermeasure."""

    @abstractmethod
    def imitate(self, images: Tensor, request: AttackRequest) -> Tensor:
        """Returns one image per prompt, `[len(prompts), 3, S, S]` in [0, 1], S the side that the model draws.

        `images` are `[B, 3, H, W]` in [0, 1], all of one artist.
        """
