"""The styles that a cloak may point to, and the choice among them for one artist."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from cloakbench import Surrogate, whitebox
from cloakbench.errors import UserError
from cloakbench_glaze.transfer import restyle

PROBES = 2
"""Images of the artist, its first ones, on which the candidates are tried (project-defined)."""
MOVEMENTS = {
    "cubism": "Cubism by Picasso style",
    "impressionism": "Impressionism by Monet style",
    "post-impressionism": "Post-Impressionism by Van Gogh style",
    "expressionism": "Expressionism by Munch style",
    "abstract-expressionism": "Abstract Expressionism by Pollock style",
    "surrealism": "Surrealism by Dali style",
    "pop-art": "Pop Art by Warhol style",
    "pointillism": "Pointillism by Seurat style",
    "art-nouveau": "Art Nouveau by Mucha style",
    "ukiyo-e": "Ukiyo-e by Hokusai style",
    "baroque": "Baroque by Rembrandt style",
    "romanticism": "Romanticism by Turner style",
}
"""For Stable Diffusion: art movements by name, each as the text that the style transfer is given."""
EMBEDDED = {
    name: f"a painting in the style of {name}"
    for name in (
        "engraving",
        "watercolour",
        "poster",
        "pointillism",
        "mosaic",
        "charcoal",
        "neon",
        "pastel",
        "woodcut",
        "duotone",
        "pixel",
        "contour",
        "oil",
        "gouache",
        "tapestry",
        "blueprint",
        "fauve",
        "sepia",
    )
}
"""For the embedded models: the styles that their denoiser was trained on."""


def known(surrogate: Surrogate) -> Mapping[str, str]:
    """Returns the target styles that a surrogate can paint: name -> prompt."""
    return EMBEDDED if surrogate.name.startswith("mini-") else MOVEMENTS


def prompt(style: str, surrogate: Surrogate) -> str:
    """Returns the text that paints `style`; raises UserError for one that the surrogate was never shown."""
    offered = known(surrogate)
    if style not in offered:
        raise UserError(f"expected a style of {surrogate.name} ({', '.join(offered)}), got {style!r}", "")
    return offered[style]


@torch.no_grad()
def choose(images: Tensor, noise: Tensor, surrogate: Surrogate, generator: torch.Generator) -> str:
    """Returns the name of a style that is clearly, but not extremely, different from the images' own.

    Every known style is given to the first images; how far it is from the artist's is the mean squared distance of
    their latents to those of the originals. One is drawn from the 50th to the 75th percentile of the distances.

    Args:
        images: `[B, 3, H, W]` in [0, 1], of one artist.
        noise: `[B, C, h, w]`, what the style transfer of each starts from.
        surrogate: The model that paints and encodes.
        generator: CPU generator; one draw.
    """
    images, noise = images[:PROBES], noise[:PROBES]
    before = whitebox.latent_means(surrogate, images)
    distances = {}
    for name, text in known(surrogate).items():
        after = whitebox.latent_means(surrogate, restyle(images, text, noise, surrogate))
        distances[name] = float((after - before).square().mean())
    ranked = sorted(distances, key=distances.__getitem__)
    band = middle_band(ranked)
    return band[int(torch.randint(len(band), (), generator=generator))]


def middle_band(ranked: list[str]) -> list[str]:
    """Returns the members of an ascending list from its 50th to its 75th percentile, at least one.

    Example:
        >>> middle_band(["a", "b", "c", "d", "e"])
        ['c', 'd']
    """
    last = len(ranked) - 1
    first = math.ceil(0.5 * last)
    return ranked[first : max(first, math.floor(0.75 * last)) + 1]
