from __future__ import annotations

import shutil

import pytest
import running
import tiny

from cloakbench.store import reading
from cloakbench.store.store import Store
from tests import shared


@pytest.fixture(scope="session")
def good_run(weights, tmp_path_factory):
    """One run of the controls and a good protection: the session (its store is read, never written, by the tests)."""

    def plan(folder):
        return tiny.session(folder / "tiny.toml", folder / "store", [tiny.entry("good")])

    def fill(folder):
        (folder / "tiny.toml").write_text(tiny.TEXT)
        running.run(plan(folder), keep_images=True)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOAKBENCH_MODELS", str(weights))
        return plan(shared.folder(tmp_path_factory, "good", fill))


@pytest.fixture
def source(good_run, tmp_path):
    """A store of its own with the records and images of the good run."""
    shutil.copytree(good_run.store.root, tmp_path / "source")
    return Store(tmp_path / "source")


@pytest.fixture
def reference(good_run, tmp_path):
    """A folder of reference records of the good run."""
    reading.export_reference(good_run.store.root, None, tmp_path / "reference")
    return tmp_path / "reference"
