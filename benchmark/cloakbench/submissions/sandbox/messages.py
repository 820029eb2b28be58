"""Messages between the harness and a worker: frames of bounded JSON, each checked by a model.

A frame is its length as four bytes, most significant first, and as many bytes of JSON. Images follow a frame as raw
8-bit pixels, so that no parser of image files sees what a submission wrote.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from cloakbench.submissions.discovery import EntryKind
from cloakbench.submissions.loading import Claims
from cloakbench.submissions.text import clean_line, clean_lines

if TYPE_CHECKING:
    from cloakbench.images import Pixels
    from cloakbench.submissions.guard import Order

LENGTH = struct.Struct(">I")
LONGEST = 256 << 10
"""Bytes of JSON in one frame."""
MESSAGE, TRACEBACK, ATTEMPT, ATTEMPTS = 2_000, 16_000, 200, 20
"""Longest texts in characters, and the most attempts."""
_BEYOND = 2**60
"""More than any seconds and bytes that a process can have used."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Start(_Message):
    """The first order: what the worker imports its libraries with, before any code of a submission."""

    do: Literal["start"] = "start"
    threads: int
    hidden: list[str]
    """Folders that the audit hook lets no code read."""
    writable: list[str]
    """Files and folders that it lets code change."""


class Load(_Message):
    """The order to import and build a protection or an attack."""

    do: Literal["load"] = "load"
    number: int
    spelling: str
    entry: EntryKind = EntryKind.PROTECTION


class SurrogateMessage(_Message):
    """Which surrogate the worker loads."""

    alias: str
    device: str
    dtype: str
    perceptual: str
    """Name of the suite's perceptual distance."""


class Protect(_Message):
    """The order to protect images, whose pixels follow; those of masks and of class images come after them."""

    do: Literal["protect"] = "protect"
    number: int
    model: SurrogateMessage | None
    shapes: list[tuple[int, int, int]]
    strength: float
    budget_255: int
    seed: int
    class_word: str
    captions: list[str]
    masks: list[tuple[int, int, int]] = []
    class_images: list[tuple[int, int, int]] = []
    models: list[SurrogateMessage] = []
    """Further base models."""
    clip: str = ""


class Attack(_Message):
    """The order to clean images, or to imitate them, whose pixels follow."""

    do: Literal["attack"] = "attack"
    number: int
    model: SurrogateMessage | None
    shapes: list[tuple[int, int, int]]
    seed: int
    class_word: str
    captions: list[str]
    token: str
    prompts: list[str]
    side: int


class AnyOrder(_Message):
    """Any order."""

    order: Start | Load | Protect | Attack = Field(discriminator="do")


class Fault(_Message):
    """What went wrong in the worker; whatever it says counts against the submission."""

    kind: Literal["user", "submission", "failed", "oom", "invalid_output"]
    """`user` and `submission` are faults of loading, the others are statuses of a protected cell."""
    message: Annotated[str, Field(max_length=MESSAGE), AfterValidator(partial(clean_line, limit=MESSAGE))]
    hint: Annotated[str, Field(max_length=MESSAGE), AfterValidator(partial(clean_line, limit=MESSAGE))]
    traceback: Annotated[str, Field(max_length=TRACEBACK), AfterValidator(partial(clean_lines, limit=TRACEBACK))]


Attempt = Annotated[str, Field(max_length=ATTEMPT), AfterValidator(partial(clean_line, limit=ATTEMPT))]


class Answer(_Message):
    """What a worker answers: a claim, from which only bounded values and clean texts are taken."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    number: int
    """That of the order; 0 for the start."""
    kind: Literal["ready", "claims", "images", "fault"]
    claims: Claims | None = None
    fault: Fault | None = None
    attempts: Annotated[list[Attempt], Field(max_length=ATTEMPTS)] = []
    """What the submission's Python code tried and was refused."""
    observed: Annotated[list[Attempt], Field(max_length=ATTEMPTS)] = []
    """What it did that may pass by the audit hook: other programs, native code."""
    peak_bytes: Annotated[int, Field(ge=0, lt=_BEYOND)] = 0
    busy_s: Annotated[float, Field(ge=0, lt=_BEYOND, allow_inf_nan=False)] = 0.0

    @model_validator(mode="after")
    def _is_whole(self) -> Answer:
        if (self.kind == "claims") != (self.claims is not None) or (self.kind == "fault") != (self.fault is not None):
            raise ValueError(f"expected the fields of {self.kind!r} and no others")
        return self


def protect_order(
    number: int,
    originals: Sequence[Pixels],
    order: Order,
    model: dict[str, Any] | None,
    further: Iterable[dict[str, Any]],
) -> Protect:
    """Returns the order to protect images as a message.

    Args:
        number: Number of the message.
        originals: Images `[H, W, 3]`, whose pixels follow it.
        order: The request.
        model: Fields of the surrogate's message; None for no surrogate.
        further: The same of further models.
    """
    others = [SurrogateMessage(**fields) for fields in further]
    return Protect(
        number=number,
        model=SurrogateMessage(**model) if model else None,
        shapes=shapes(originals),
        strength=order.strength,
        budget_255=order.budget_255,
        seed=order.seed,
        class_word=order.class_word,
        captions=list(order.captions),
        masks=shapes(order.masks),
        class_images=shapes(order.class_images),
        models=others,
        clip=order.clip,
    )


def shapes(images: Sequence[Pixels]) -> list[tuple[int, int, int]]:
    """Returns height, width and channels of each image; a mask `[H, W]` has one channel."""
    return list(map(_shape, images))


def _shape(pixels: Pixels) -> tuple[int, int, int]:
    height, width, *channels = pixels.shape
    return (height, width, channels[0] if channels else 1)


def frame(message: _Message) -> bytes:
    """Returns a message as a frame; raises ValueError for one that is too long."""
    body = message.model_dump_json().encode()
    if len(body) > LONGEST:
        raise ValueError(f"expected a message of at most {LONGEST} bytes, got {len(body)}")
    return LENGTH.pack(len(body)) + body


def read_order(stream: BinaryIO) -> Start | Load | Protect | Attack | None:
    """Returns the next order, None where there are no more."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    return AnyOrder.model_validate_json(b'{"order":' + stream.read(LENGTH.unpack(head)[0]) + b"}").order
