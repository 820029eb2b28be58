"""Inpainting of a user's images with masks, through the whole pipeline on small models."""

from __future__ import annotations

import inpainting
import pytest
import tiny
from running import run

from cloakbench.attacks.editing.inpaint import Inpaint
from cloakbench.errors import UserError
from cloakbench.images import digest, encode
from cloakbench.models import loader
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Status

EDITED = """
[[attacks]]
name = "inpaint"
mimicry = "inpaint"
model = "MODEL"

[mimicry.inpaint]
steps = 2
guidance = 2.0
"""


def suite_file(folder, model, dataset):
    text = tiny.TEXT + 'edit = ["edit-ssim", "edit-psnr"]\n' + EDITED.replace("MODEL", str(model))
    text = text.replace('dataset = "mini"', f'dataset = "{dataset}"')
    text = text.replace('artists = ["vellmar"]', 'artists = ["vellmar"]' if dataset == "mini" else "artists = []")
    path = folder / "tiny.toml"
    path.write_text('edit_prompts = ["a {class_word} of rain", "a {class_word} of a boat"]\n' + text)
    return path


def fill(folder, masks=True):
    """An artist of five pictures; the second is a reference, which needs no mask."""
    (folder / "anna" / "masks").mkdir(parents=True) if masks else (folder / "anna").mkdir(parents=True)
    for n in range(5):
        (folder / "anna" / f"{n}.png").write_bytes(encode(tiny.picture(n)))
        if masks and n != 1:
            (folder / "anna" / "masks" / f"{n}.png").write_bytes(encode(inpainting.mask(n)))
    return folder


@pytest.fixture
def painter(stand_ins, tmp_path_factory):
    return inpainting.write(tmp_path_factory.getbasetemp() / "inpaint", stand_ins / "mini-a")


def planned(tmp_path, painter, images, **choice):
    path = suite_file(tmp_path, painter, "folder")
    return sessions.plan(Choice(str(path), ["placebo"], images, only=["attack=inpaint"], **choice), tmp_path / "store")


def test_each_image_is_repainted_and_compared_with_the_clean_edit(painter, tmp_path):
    session = planned(tmp_path, painter, fill(tmp_path / "images"))
    [placebo, noise] = run(session)
    assert {r.protection.name for r in (placebo, noise)} == {"placebo", "random-noise"}
    for record in (placebo, noise):
        assert (record.status, record.reason) == (Status.OK, "")
        # Three images under two prompts.
        assert {name: len(values) for name, values in record.generations.items()} == {"edit-ssim": 6, "edit-psnr": 6}
        assert record.digests["clean-edit"] == placebo.digests["clean-edit"]
    artist = session.cells[0].artist
    wanted = ["a painting of rain", "a painting of a boat"]
    repeated, masks = ([one for one in image for _ in wanted] for image in (artist.images, artist.masks))
    drawn = [session.planner.seed("anna", 0, "inpaint", n) for n in range(6)]
    cleaned = Inpaint(2, 2.0).apply(loader.load(str(painter)), repeated, wanted * 3, drawn, masks)
    assert [digest(p) for p in cleaned] == placebo.digests["clean-edit"]


def test_other_masks_are_another_cell(painter, tmp_path):
    images = fill(tmp_path / "images")
    keys = [planned(tmp_path, painter, images).cells[0].keys]
    (images / "anna" / "masks" / "0.png").write_bytes(encode(inpainting.mask(7)))
    keys.append(planned(tmp_path, painter, images).cells[0].keys)
    assert keys[0]["protect"] == keys[1]["protect"]
    assert keys[0]["generate"] != keys[1]["generate"]


def test_a_suite_without_masks_cannot_inpaint(painter, tmp_path):
    with pytest.raises(UserError, match="expected masks for the images of 'anna', got none") as caught:
        planned(tmp_path, painter, fill(tmp_path / "images", masks=False))
    assert "folder `masks`" in caught.value.hint
    path = suite_file(tmp_path, painter, "mini")
    with pytest.raises(UserError, match="expected masks for the images of 'vellmar'"):
        sessions.plan(Choice(str(path), ["placebo"]), tmp_path / "store")
