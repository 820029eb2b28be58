"""Selection rules for collections of a few small pictures."""

from __future__ import annotations

from collections.abc import Sequence

TEXT = """
name = "{name}"
version = 1
rule = "The first {protect} are protected, the next {references} are references."
protect = {protect}
references = {references}
least_side = 40
most_ratio = 2.0
needs_masks = {masks}

[artists]
{artists}
"""


def text(name: str, artists: Sequence[str], protect: int = 1, references: int = 1, *, needs_masks: bool = False) -> str:
    """Returns the text of a selection rule over these artists."""
    lines = [f'{artist} = "tests"' for artist in artists]
    masks = str(needs_masks).lower()
    return TEXT.format(name=name, protect=protect, references=references, masks=masks, artists="\n".join(lines))
