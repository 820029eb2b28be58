"""Pictures that no verb takes: they would lose something, or cannot be read."""

from __future__ import annotations

from pathlib import Path

from PIL import Image


def transparent(path: Path) -> None:
    """Writes a picture whose pixels have a colour that nobody sees."""
    Image.new("RGBA", (64, 64), (200, 0, 0, 0)).save(path)


def animated(path: Path) -> None:
    """Writes a picture of two frames."""
    Image.new("RGB", (64, 64)).save(path, save_all=True, append_images=[Image.new("RGB", (64, 64), "red")])


def unreadable(path: Path) -> None:
    """Makes a file whose reading fails, as on a disk that is about to die."""
    path.symlink_to("/proc/self/mem")
