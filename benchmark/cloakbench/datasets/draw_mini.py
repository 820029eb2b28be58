"""`python -m cloakbench.datasets.draw_mini` draws the shipped artists' pictures once; floats differ by processor."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from PIL import Image

from cloakbench.datasets.artists import MINI
from cloakbench.datasets.procedural import scenes, styles
from cloakbench.image_files import decode
from cloakbench.images import digest

IMAGES, REFERENCES = 8, 12
_SHOWN, _REFERENCE = 1, 2
"""First seed component: other than those of the training sets, so that no picture is in both."""


def freeze(style: str, folder: Path) -> None:
    """Writes `images/`, `references/` and `subjects.json` of one held-out style."""
    index = styles.ALL.index(styles.BY_NAME[style])
    subjects = list(scenes.SUBJECTS)
    for part, purpose, count in (("images", _SHOWN, IMAGES), ("references", _REFERENCE, REFERENCES)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        for n in range(count):
            subject = subjects[(index + n) % len(subjects)]
            pixels = styles.paint(style, subject, [purpose, index, n])
            Image.fromarray(pixels).save(folder / part / f"{n:02d}.png", optimize=True)
    drawn = [subjects[(index + n) % len(subjects)] for n in range(IMAGES)]
    (folder / "subjects.json").write_text(json.dumps(drawn) + "\n", encoding="utf-8")


def digests() -> dict[str, str]:
    """Returns the digest of every shipped picture's pixels, by path."""
    paths = sorted(MINI.rglob("*.png"))
    return {path.relative_to(MINI).as_posix(): digest(decode(path.read_bytes())) for path in paths}


def main() -> None:
    """Draws every held-out style that the package lacks, and writes the pictures' digests; what is there stays."""
    for style in [*styles.names("development"), *styles.names("artists")]:
        folder = MINI / style.replace(" ", "-")
        if not folder.is_dir():
            freeze(style, folder)
            sys.stdout.write(f"{style}\n")
    (MINI / "digests.json").write_text(json.dumps(digests(), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
