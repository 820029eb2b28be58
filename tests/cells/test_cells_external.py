"""A countermeasure of a package runs beside a suite and changes nothing of it; its damage to clean images is known."""

from __future__ import annotations

import os

import numpy as np
import pytest

from cloakbench.cells.countermeasures import AttackFault, check_honest
from cloakbench.cells.state import CellState
from cloakbench.errors import UserError
from cloakbench.images import digest
from cloakbench.metrics import quality
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from cloakbench.schemas.kinds import Status
from cloakbench.store.reading import load
from tests import roots, tiny
from tests.running import of, record_of, run
from tests.submissions import hostile

SOURCE = """
from cloakbench import Countermeasure


class Hostile(Countermeasure):
    title = "Brightens"
    knowledge = "tool"

    def clean(self, images, request):
        assert len(request.captions) == len(images) == 3
        assert request.model.unet is not None
        return (images + 10 / 255).clamp(0, 1)
"""


@pytest.fixture(scope="module")
def planned(weights, tmp_path_factory):
    """Plans the tiny suite with the named attacks of packages."""
    folder = tmp_path_factory.mktemp("external")
    hostile.install(folder / "site", "brightens", SOURCE, "cloakbench.countermeasures")
    (folder / "tiny.toml").write_text(tiny.TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "site"), roots.PYTHONPATH]))
        patch.setenv("CLOAKBENCH_MODELS", str(weights))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))

        def plan(*attacks):
            choice = Choice(str(folder / "tiny.toml"), ["placebo"], attacks=attacks)
            return sessions.plan(choice, folder / "store")

        yield plan


@pytest.fixture(scope="module")
def ran(planned):
    session = planned("brightens")
    run(session)
    return session


def brightened(pixels):
    return (pixels.astype(int) + 10).clip(0, 255).astype(np.uint8)


def test_cells_of_the_suite_stay_what_they_are(planned, ran):
    plain = {cell.key for cell in planned().cells}
    with_attack = {cell.key for cell in ran.cells}
    added = [cell for cell in ran.cells if cell.key not in plain]
    assert plain < with_attack
    assert {(cell.attack.name, cell.seed) for cell in added} == {("brightens", 0)}
    assert {cell.entry.facts.name for cell in added} == {"identity", "placebo", "random-noise"}
    assert [attack.name for attack in load(ran.store.root).facts.suite.attacks] == ["dreambooth", "noise"]


def test_the_mimic_learns_from_what_the_package_cleaned(ran):
    cell, record = of(ran, "random-noise", "brightens"), record_of(ran, "random-noise", "brightens")
    protected, _ = ran.store.read_images(cell.keys["protect"], ran.environment.env_class)
    assert record.status is Status.OK
    assert record.digests["countermeasure"] == [digest(brightened(pixels)) for pixels in protected]
    assert record.damage == {}
    package = record.attack.package
    assert (package.spelling, package.title, package.knowledge) == ("brightens", "Brightens", "tool")
    assert cell.recipes.countermeasure.package == package.digest
    assert record.cost["countermeasure"].wall_s > 0


def test_the_clean_arm_says_what_an_attack_does_to_clean_images(ran):
    record, artist = record_of(ran, "identity", "brightens"), of(ran, "identity", "brightens").artist
    expected = quality.measure(["psnr"], [brightened(pixels) for pixels in artist.images], artist.images)
    assert record.damage["psnr"] == pytest.approx(expected["psnr"])
    assert record.quality["psnr"] == [80.0] * 3
    assert np.mean(record_of(ran, "identity", "noise").damage["psnr"]) < 40
    assert record_of(ran, "identity").damage == {}


def test_an_attack_of_the_suite_has_its_name_alone(planned):
    with pytest.raises(UserError, match="noise"):
        planned("noise")
    with pytest.raises(UserError, match="countermeasure"):
        planned("unheard-of")


def test_hidden_clean_images_among_the_cleaned_end_the_cell(ran):
    cell = of(ran, "random-noise", "brightens")
    protected = [pixels // 2 for pixels in cell.artist.images]
    work = CellState(cell, protected=protected)
    check_honest(protected, work)
    for hidden in (cell.artist.images[1], cell.artist.references[0]):
        with pytest.raises(AttackFault, match="1 of the artist's own"):
            check_honest([*protected[:2], hidden], work)
    check_honest(cell.artist.images, CellState(cell, protected=list(cell.artist.images)))
