"""The styles of the embedded dataset: three groups that never mix, each style a palette and a way of making marks."""

from __future__ import annotations

import colorsys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cloakbench.datasets.procedural import crafts, development, flat_artists, papers, textured_artists
from cloakbench.datasets.procedural.scenes import WIDE, Floats, Framing, Scene, colour_slots, compose

Group = Literal["training", "development", "artists"]
HSV = tuple[float, float, float]
Render = Callable[[Floats, Scene, np.random.Generator], Floats]


@dataclass(frozen=True, slots=True)
class Style:
    """One way of painting: five base colours (hue, saturation, value; one per slot), how far they vary, the marks."""

    name: str
    group: Group
    kind: Literal["textured", "flat"]
    colours: Sequence[HSV]
    hue_spread: float
    render: Render

    def palette(self, rng: np.random.Generator) -> Floats:
        """Returns five RGB colours `[5, 3]` in [0, 1], the style's own shifted at random."""
        turn = rng.normal(0, self.hue_spread)
        rows = []
        for hue, saturation, value in self.colours:
            h = (hue + turn + rng.normal(0, self.hue_spread / 2)) % 1.0
            s = min(max(saturation + rng.normal(0, 0.06), 0.0), 1.0)
            v = min(max(value + rng.normal(0, 0.06), 0.0), 1.0)
            rows.append(colorsys.hsv_to_rgb(h, s, v))
        return np.array(rows, dtype=np.float32)


_WARM = [(0.1, 0.35, 0.95), (0.07, 0.5, 0.7), (0.02, 0.7, 0.75), (0.09, 0.6, 0.5), (0.14, 0.75, 0.95)]
_COOL = [(0.55, 0.35, 0.92), (0.45, 0.45, 0.6), (0.6, 0.7, 0.6), (0.5, 0.5, 0.4), (0.13, 0.6, 0.95)]
_BRIGHT = [(0.55, 0.65, 0.95), (0.3, 0.7, 0.75), (0.0, 0.85, 0.9), (0.7, 0.6, 0.6), (0.14, 0.9, 1.0)]
_PALE = [(0.55, 0.12, 0.98), (0.25, 0.18, 0.9), (0.95, 0.3, 0.92), (0.6, 0.3, 0.8), (0.12, 0.35, 0.98)]
_EARTH = [(0.1, 0.2, 0.88), (0.09, 0.4, 0.55), (0.04, 0.6, 0.5), (0.12, 0.35, 0.4), (0.1, 0.55, 0.85)]
_GREY = [(0.1, 0.05, 0.92), (0.1, 0.06, 0.6), (0.1, 0.05, 0.35), (0.1, 0.05, 0.5), (0.1, 0.04, 0.78)]
_DARK = [(0.7, 0.6, 0.16), (0.6, 0.6, 0.26), (0.9, 0.8, 0.85), (0.5, 0.8, 0.7), (0.15, 0.8, 1.0)]
_NIGHT = [(0.63, 0.75, 0.3), (0.6, 0.65, 0.42), (0.57, 0.5, 0.68), (0.66, 0.6, 0.5), (0.13, 0.7, 0.95)]
_MOSS = [(0.2, 0.25, 0.9), (0.25, 0.5, 0.5), (0.3, 0.6, 0.42), (0.15, 0.5, 0.65), (0.05, 0.65, 0.85)]
_ROSE = [(0.97, 0.2, 0.96), (0.93, 0.35, 0.7), (0.9, 0.6, 0.65), (0.8, 0.4, 0.5), (0.06, 0.5, 0.98)]
_CLAY = [(0.07, 0.25, 0.9), (0.05, 0.6, 0.65), (0.52, 0.55, 0.45), (0.03, 0.7, 0.45), (0.11, 0.5, 0.95)]
_SEA = [(0.5, 0.25, 0.95), (0.52, 0.6, 0.65), (0.07, 0.6, 0.9), (0.55, 0.7, 0.4), (0.1, 0.4, 1.0)]

_PLUM = [(0.8, 0.45, 0.36), (0.85, 0.35, 0.55), (0.4, 0.42, 0.85), (0.12, 0.55, 0.92), (0.94, 0.5, 0.95)]
_CRANBERRY = [(0.12, 0.14, 0.94), (0.36, 0.45, 0.36), (0.98, 0.82, 0.6), (0.11, 0.32, 0.72), (0.56, 0.45, 0.35)]
_TEAL = [(0.48, 0.5, 0.34), (0.5, 0.38, 0.58), (0.97, 0.35, 0.96), (0.92, 0.7, 0.58), (0.13, 0.62, 0.98)]
_ICE = [(0.62, 0.16, 0.97), (0.76, 0.4, 0.84), (0.83, 0.76, 0.55), (0.55, 0.82, 0.75), (0.3, 0.55, 0.92)]
_LILAC = [(0.73, 0.4, 0.36), (0.7, 0.5, 0.2), (0.16, 0.5, 0.68), (0.76, 0.42, 0.5), (0.0, 0.58, 0.8)]
_SAFFRON = [(0.14, 0.75, 0.95), (0.08, 0.85, 0.8), (0.72, 0.7, 0.38), (0.97, 0.72, 0.58), (0.16, 0.3, 1.0)]
_PEACH = [(0.05, 0.32, 0.98), (0.52, 0.72, 0.52), (0.78, 0.55, 0.52), (0.1, 0.82, 0.96), (0.5, 0.18, 0.98)]
_FOLK = [(0.6, 0.12, 0.98), (0.61, 0.72, 0.55), (0.99, 0.86, 0.74), (0.38, 0.72, 0.45), (0.12, 0.85, 0.92)]
_JADE = [(0.42, 0.32, 0.9), (0.44, 0.72, 0.52), (0.02, 0.66, 0.96), (0.4, 0.8, 0.28), (0.15, 0.2, 1.0)]
_MUSTARD = [(0.58, 0.32, 0.58), (0.14, 0.66, 0.66), (0.61, 0.55, 0.24), (0.13, 0.82, 0.92), (0.05, 0.25, 0.95)]
_RIVIERA = [(0.17, 0.25, 0.98), (0.47, 0.6, 0.76), (0.93, 0.7, 0.92), (0.62, 0.65, 0.7), (0.05, 0.8, 0.98)]
_MADDER = [(0.03, 0.6, 0.5), (0.0, 0.72, 0.3), (0.13, 0.45, 0.96), (0.5, 0.65, 0.52), (0.07, 0.78, 0.92)]
_COPPER = [(0.46, 0.32, 0.76), (0.48, 0.42, 0.56), (0.06, 0.55, 0.8), (0.03, 0.62, 0.42), (0.12, 0.25, 0.95)]
_AUTUMN = [(0.91, 0.52, 0.86), (0.83, 0.55, 0.46), (0.2, 0.76, 0.82), (0.87, 0.76, 0.32), (0.52, 0.42, 0.95)]
_FERN = [(0.27, 0.48, 0.6), (0.33, 0.52, 0.4), (0.06, 0.78, 0.96), (0.0, 0.65, 0.68), (0.15, 0.5, 1.0)]
_ORCHID = [(0.68, 0.52, 0.78), (0.69, 0.64, 0.5), (0.18, 0.6, 0.97), (0.9, 0.52, 0.9), (0.45, 0.5, 0.95)]

STYLES: tuple[Style, ...] = (
    Style("engraving", "training", "textured", _EARTH, 0.02, papers.engraving),
    Style("watercolour", "training", "textured", _PALE, 0.15, papers.watercolour),
    Style("poster", "training", "flat", _BRIGHT, 0.2, crafts.poster),
    Style("pointillism", "training", "textured", _BRIGHT, 0.1, papers.pointillism),
    Style("mosaic", "training", "flat", _CLAY, 0.1, crafts.mosaic),
    Style("charcoal", "training", "textured", _GREY, 0.05, papers.charcoal),
    Style("neon", "training", "flat", _DARK, 0.2, crafts.neon),
    Style("pastel", "training", "textured", _ROSE, 0.1, papers.pastel),
    Style("woodcut", "training", "textured", _EARTH, 0.05, papers.woodcut),
    Style("duotone", "training", "flat", _GREY, 0.0, crafts.duotone),
    Style("pixel", "training", "flat", _BRIGHT, 0.2, crafts.pixel),
    Style("contour", "training", "flat", _MOSS, 0.1, crafts.contour),
    Style("oil", "training", "textured", _WARM, 0.12, papers.oil),
    Style("gouache", "training", "flat", _COOL, 0.12, crafts.gouache),
    Style("tapestry", "training", "textured", _CLAY, 0.08, papers.tapestry),
    Style("blueprint", "training", "flat", _NIGHT, 0.02, crafts.blueprint),
    Style("fauve", "training", "textured", _BRIGHT, 0.25, papers.fauve),
    Style("sepia", "training", "textured", _EARTH, 0.02, papers.sepia),
    Style("swirl", "development", "textured", _SEA, 0.04, development.swirl),
    Style("crosshatch", "development", "textured", _PALE, 0.05, development.crosshatch),
    Style("stained glass", "development", "flat", _BRIGHT, 0.08, development.stained_glass),
    Style("stencil", "development", "flat", _CLAY, 0.05, development.stencil),
    Style("vellmar", "development", "textured", _NIGHT, 0.03, development.vellmar),
    Style("ostrava", "development", "textured", _WARM, 0.03, development.ostrava),
    Style("kirin", "development", "textured", _SEA, 0.03, development.kirin),
    Style("dunmore", "development", "textured", _MOSS, 0.03, development.dunmore),
    Style("halloran", "development", "textured", _ROSE, 0.03, development.halloran),
    Style("brix", "development", "flat", _CLAY, 0.03, development.brix),
    Style("tamsin", "development", "flat", _COOL, 0.03, development.tamsin),
    Style("quill", "development", "flat", _DARK, 0.03, development.quill),
)
"""Styles that models of this package may learn; their positions are the classes of the trainings."""
ARTISTS: tuple[Style, ...] = (
    Style("pellam", "artists", "textured", _PLUM, 0.03, textured_artists.pellam),
    Style("scarsby", "artists", "flat", _TEAL, 0.03, flat_artists.scarsby),
    Style("oakshaw", "artists", "textured", _CRANBERRY, 0.03, textured_artists.oakshaw),
    Style("trigwell", "artists", "flat", _ICE, 0.03, flat_artists.trigwell),
    Style("fenwarre", "artists", "textured", _LILAC, 0.03, textured_artists.fenwarre),
    Style("ardwick", "artists", "flat", _PEACH, 0.03, flat_artists.ardwick),
    Style("solvane", "artists", "textured", _SAFFRON, 0.03, textured_artists.solvane),
    Style("crewdon", "artists", "flat", _FOLK, 0.03, flat_artists.crewdon),
    Style("merrowby", "artists", "textured", _JADE, 0.03, textured_artists.merrowby),
    Style("ossulton", "artists", "flat", _RIVIERA, 0.03, flat_artists.ossulton),
    Style("spargrove", "artists", "textured", _MUSTARD, 0.03, textured_artists.spargrove),
    Style("vandrel", "artists", "flat", _MADDER, 0.03, flat_artists.vandrel),
    Style("hewarth", "artists", "textured", _COPPER, 0.03, textured_artists.hewarth),
    Style("dottridge", "artists", "flat", _FERN, 0.03, flat_artists.dottridge),
    Style("lindrick", "artists", "textured", _AUTUMN, 0.03, textured_artists.lindrick),
    Style("wyndle", "artists", "flat", _ORCHID, 0.03, flat_artists.wyndle),
)
"""The suites' artists, textured and flat in turn; no model of this package is trained on a picture of theirs."""
ALL = STYLES + ARTISTS
"""All styles; a style's position is part of the seeds of its shipped pictures."""
BY_NAME = {style.name: style for style in ALL}


def names(group: Group) -> list[str]:
    """Returns the names of a group's styles, in their fixed order."""
    return [style.name for style in ALL if style.group == group]


def learnable_names() -> list[str]:
    """Returns the names of the styles that models may learn, in their fixed order."""
    return [style.name for style in STYLES]


def numbers(group: Group) -> list[int]:
    """Returns the positions in `ALL` of a group's styles."""
    return [number for number, style in enumerate(ALL) if style.group == group]


def paint(
    style: str, subject: str, seed: Sequence[int], framing: Framing = WIDE
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Returns a picture `[128, 128, 3]` of `subject` in `style`; the same `seed` gives the same picture on one CPU."""
    rng = np.random.default_rng(np.random.SeedSequence(list(seed)))
    scene = compose(subject, rng, framing)
    chosen = BY_NAME[style]
    image = chosen.render(colour_slots(scene, chosen.palette(rng)), scene, rng)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
