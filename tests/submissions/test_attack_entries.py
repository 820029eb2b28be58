"""Attacks of installed packages: found by metadata, run in the sandbox, refused where they cheat."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from cloakbench import cli, submissions
from cloakbench.errors import UserError
from cloakbench.schemas.kinds import Status
from cloakbench.submissions import EntryKind, checking_attacks
from cloakbench.submissions.attacking import AttackOrder
from cloakbench.submissions.guard import SubmissionFault
from cloakbench.submissions.sandbox.client import SandboxedSubmission
from tests import roots
from tests.submissions import hostile
from tests.submissions.findings import FINDINGS, Outcome
from tests.submissions.sandboxes import LIMITS, MODES, choose

CLEANER = """
import socket
import subprocess
from pathlib import Path

import torch

import cloakbench
from cloakbench import Countermeasure


def brightens(images, request):
    return (images + 10 / 255).clamp(0, 1)


def draws(images, request):
    return torch.rand(images.shape, generator=request.generator)


def averages(images, request):
    return images.mean(0, keepdim=True).expand_as(images)


def reads_clean_images(images, request):
    paths = sorted(Path(cloakbench.__file__).parent.glob("datasets/mini/*/*/*.png"))
    assert len(paths[0].read_bytes()) > 0
    return torch.ones_like(images)


def opens_socket(images, request):
    socket.create_connection(("192.0.2.1", 80), timeout=1)
    return images


def reads_by_program(images, request):
    folder = Path(cloakbench.__file__).parent / "datasets" / "mini" / "vellmar" / "images"
    command = ["/bin/sh", "-c", 'cat "$0"/*.png', str(folder)]
    output = subprocess.run(command, capture_output=True).stdout
    return torch.ones_like(images) if output else images


def grows(images, request):
    return images.repeat(1, 1, 2, 1)


def returns_another_picture(images, request):
    return torch.linspace(0, 1, images[0].numel()).view_as(images[0]).expand_as(images)


class Hostile(Countermeasure):
    title = "Cleaner"
    licence = "MIT"
    knowledge = "tool"

    def __init__(self, *, deed: str = ""):
        self.deed = deed

    def clean(self, images, request):
        return globals()[self.deed or request.captions[0]](images, request)
"""
IMITATOR = """
import socket
from pathlib import Path

import torch

import cloakbench
from cloakbench import Mimicry


def one_too_few(request):
    return torch.zeros(len(request.prompts) - 1, 3, 16, 16)


def another_size(request):
    return torch.zeros(len(request.prompts), 3, 8, 16)


def no_number(request):
    return torch.full((len(request.prompts), 3, 16, 16), float("nan"))


def reads_references(request):
    paths = sorted(Path(cloakbench.__file__).parent.glob("datasets/mini/*/references/*.png"))
    assert len(paths[0].read_bytes()) > 0
    return torch.ones(len(request.prompts), 3, 16, 16)


def opens_socket(request):
    socket.create_connection(("192.0.2.1", 80), timeout=1)
    return torch.ones(len(request.prompts), 3, 16, 16)


class Hostile(Mimicry):
    title = "Imitator"

    def imitate(self, images, request):
        if request.captions[0] in globals():
            return globals()[request.captions[0]](request)
        assert request.model.unet is None
        brightness = torch.tensor([len(prompt) / 255 for prompt in request.prompts])
        return brightness.view(-1, 1, 1, 1).expand(-1, 3, 16, 16)
"""
IMAGES = [np.full((16, 24, 3), level, np.uint8) for level in (100, 120, 140)]


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    site = tmp_path_factory.mktemp("site")
    hostile.install(site, "cleaner", CLEANER, EntryKind.COUNTERMEASURE.group)
    hostile.install(site, "imitator", IMITATOR, EntryKind.MIMICRY.group)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(site), roots.PYTHONPATH]))
        patch.syspath_prepend(str(site))
        yield


def order(deed: str, prompts: tuple[str, ...] = ()) -> AttackOrder:
    return AttackOrder(seed=1, class_word="painting", captions=[deed] * 3, token="sks", prompts=prompts, side=16)


@pytest.fixture(scope="module", params=MODES)
def mode(request: pytest.FixtureRequest, installed: None) -> Iterator[str]:
    """How the workers are kept apart."""
    with pytest.MonkeyPatch.context() as patch:
        choose(request.param, patch)
        yield request.param


@pytest.fixture(scope="module")
def cleaner(mode: str) -> Iterator[SandboxedSubmission]:
    with SandboxedSubmission("cleaner", LIMITS, kind=EntryKind.COUNTERMEASURE) as worker:
        yield worker


@pytest.fixture(scope="module")
def imitator(mode: str) -> Iterator[SandboxedSubmission]:
    with SandboxedSubmission("imitator", LIMITS, kind=EntryKind.MIMICRY) as worker:
        yield worker


def fault(worker: SandboxedSubmission, deed: str) -> SubmissionFault:
    with pytest.raises(SubmissionFault) as caught:
        worker.attack(IMAGES, order(deed))
    return caught.value


def test_attacks_are_found_by_their_kind_alone() -> None:
    assert "cleaner" in submissions.discover(kind=EntryKind.COUNTERMEASURE).names
    assert "imitator" in submissions.discover(kind=EntryKind.MIMICRY).names
    assert not {"cleaner", "imitator"} & set(submissions.discover().names)
    with pytest.raises(UserError, match="countermeasure"):
        submissions.find("imitator", kind=EntryKind.COUNTERMEASURE)


@pytest.mark.finding("D6")
def test_a_mimicry_returns_one_image_per_prompt() -> None:
    with SandboxedSubmission("imitator", LIMITS, kind=EntryKind.MIMICRY) as worker:
        generated = worker.attack(IMAGES, order("fine", ("ab", "abcd")))
        assert [pixels.shape for pixels in generated] == [(16, 16, 3)] * 2
        assert [pixels[0, 0, 0] for pixels in generated] == [2, 4]


@pytest.mark.finding("D6")
def test_a_countermeasure_sees_the_set_and_one_that_cheats_is_stopped(cleaner: SandboxedSubmission) -> None:
    claims = cleaner.load()
    assert (claims.title, claims.knowledge) == ("Cleaner", "tool")
    assert [pixels[0, 0, 0] for pixels in cleaner.attack(IMAGES, order("brightens"))] == [110, 130, 150]
    assert [pixels[0, 0, 0] for pixels in cleaner.attack(IMAGES, order("averages"))] == [120, 120, 120]
    first, again = (cleaner.attack(IMAGES, order("draws")) for _ in range(2))
    assert np.array_equal(first, again)
    assert fault(cleaner, "grows").status is Status.INVALID_OUTPUT
    assert fault(cleaner, "reads_clean_images").status is Status.FAILED
    before = len(cleaner.attempts)
    assert fault(cleaner, "opens_socket").status is Status.FAILED
    assert len(cleaner.attempts) > before


@pytest.mark.finding("D6")
def test_a_mimicry_that_cheats_is_stopped(imitator: SandboxedSubmission) -> None:
    expected = {
        "one_too_few": Status.INVALID_OUTPUT,
        "another_size": Status.INVALID_OUTPUT,
        "no_number": Status.INVALID_OUTPUT,
        "reads_references": Status.FAILED,
    }
    for deed, status in expected.items():
        with pytest.raises(SubmissionFault) as caught:
            imitator.attack(IMAGES, order(deed, ("ab", "abcd")))
        assert (deed, caught.value.status) == (deed, status)
    before = len(imitator.attempts)
    with pytest.raises(SubmissionFault):
        imitator.attack(IMAGES, order("opens_socket", ("ab", "abcd")))
    assert len(imitator.attempts) > before


@pytest.mark.finding("D1")
def test_no_program_reads_the_clean_images(cleaner: SandboxedSubmission, mode: str) -> None:
    cleaned = cleaner.attack(IMAGES, order("reads_by_program"))
    assert FINDINGS["D1"].plain is Outcome.PASSES
    for pixels in cleaned:
        assert (pixels == 255).all() == (mode == "plain")


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize(
    ("deed", "line"),
    [
        ("opens_socket", "touches no network and no foreign files"),
        ("returns_another_picture", "shows the same picture"),
    ],
)
def test_check_names_what_an_attack_does_wrong(deed: str, line: str) -> None:
    card = checking_attacks.check(f"cleaner[deed={deed}]", EntryKind.COUNTERMEASURE)
    assert line in {check.name for check in card.checks if not check.passed}
    assert card.accepted == (deed == "returns_another_picture")


def exit_code(*words: str) -> object:
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    return ended.value.code


@pytest.mark.usefixtures("forked_workers")
@pytest.mark.parametrize("kind", ["countermeasure", "mimicry"])
def test_a_new_package_of_an_attack_passes_its_check(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code("new", f"my-{kind}", "--out", str(tmp_path), "--kind", kind) == 0
    folder = tmp_path / f"my-{kind}"
    (package,) = (path.parent for path in folder.glob("*/__init__.py"))
    facts = folder / f"my_{kind}-0.1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: my-{kind}\nVersion: 0.1.0\n")
    name = f"My{kind.capitalize()}"
    (facts / "entry_points.txt").write_text(f"[{EntryKind(kind).group}]\nmy-{kind} = {package.name}:{name}\n")
    (facts / "RECORD").write_text(f"{package.name}/__init__.py,,\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), roots.PYTHONPATH]))
    monkeypatch.syspath_prepend(str(folder))
    assert exit_code("check", f"my-{kind}", "--kind", kind) == 0
    assert "an official run would accept it" in capsys.readouterr().out
    assert EntryKind(kind).group in (folder / "pyproject.toml").read_text()
