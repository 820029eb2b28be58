"""`python -m cloakbench_images`: exports a suite's originals and adds what another program made of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from cyclopts import App

from cloakbench.datasets import artists
from cloakbench.errors import BenchmarkError, UserError
from cloakbench.image_files import read_folder
from cloakbench.images import Pixels, encode
from cloakbench.models import registry
from cloakbench.suites import load as suites
from cloakbench_images import collection

app = App(name="cloakbench_images", help=__doc__, result_action="return_value")


@app.command
def export(suite: str, out: Path, *, images: Path | None = None) -> None:
    """Writes the images that a suite protects, as the harness reads them: OUT/<artist>-<number>.png.

    Args:
        suite: Suite, or path to a TOML file.
        out: Folder for the PNGs.
        images: Folder of the artists, for a suite that ships none.
    """
    chosen = suites.load(suite)
    out.mkdir(parents=True, exist_ok=True)
    for artist in artists.load(chosen, images, registry.find(chosen.surrogate).image_size):
        for number, pixels in enumerate(artist.images):
            (out / f"{artist.name}-{number:02d}.png").write_bytes(encode(pixels))


@app.command
def add(originals: Path, protected: Path, *, out: Path, strength: float) -> None:
    """Pairs two folders by file name (whatever the ending), stores the pairs, and prints how to run them.

    Args:
        originals: Folder of images before protection.
        protected: Folder of the same images after it, same sizes.
        out: $CLOAKBENCH_IMAGES/NAME; may hold images already.
        strength: In (0, 1]; one of the suite's strengths.
    """
    if not 0 < strength <= 1:
        raise UserError(f"expected a strength in (0, 1], got {strength:g}", "Say which of the suite's it stands for.")
    grown = collection.read(out).adding(_paired(originals, protected), strength)
    sys.stdout.write(f"images[folder={grown.spelling}]\n")


def _paired(originals: Path, protected: Path) -> list[tuple[Pixels, Pixels]]:
    before, after = (_by_stem(read_folder(folder)) for folder in (originals, protected))
    lacking = sorted(before.keys() ^ after.keys())
    if lacking:
        raise UserError(
            f"expected each image in both folders, got only one of {', '.join(lacking[:5])}",
            "Name each protected image as its original; leave out what is not protected.",
        )
    for name, pixels in before.items():
        if pixels.shape != after[name].shape:
            sizes = " and ".join(f"{p.shape[1]} x {p.shape[0]}" for p in (pixels, after[name]))
            raise UserError(f"expected a pair of one size for {name}, got {sizes}", "Do not resize or crop it.")
    return [(before[name], after[name]) for name in before]


def _by_stem(images: dict[str, Pixels]) -> dict[str, Pixels]:
    return {Path(name).stem: pixels for name, pixels in images.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 2 after a message about what was wrong."""
    try:
        app(arguments, exit_on_error=True)
    except BenchmarkError as error:
        sys.stderr.write(f"cloakbench_images: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
