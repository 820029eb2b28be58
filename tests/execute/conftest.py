from __future__ import annotations

import pytest

from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from tests import shared, tiny
from tests.running import run

ENTRIES = ["random-noise"]


@pytest.fixture
def planned(stand_ins, tmp_path):
    """The tiny suite, planned for the controls."""
    (tmp_path / "tiny.toml").write_text(tiny.TEXT)
    return sessions.plan(Choice(str(tmp_path / "tiny.toml"), ENTRIES), tmp_path / "store")


@pytest.fixture(scope="session")
def alone(weights, tmp_path_factory):
    """The same run in one process; its store is read, never written, by the tests."""

    def plan(folder):
        return sessions.plan(Choice(str(folder / "tiny.toml"), ENTRIES), folder / "store")

    def fill(folder):
        (folder / "tiny.toml").write_text(tiny.TEXT)
        run(plan(folder))

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOAKBENCH_MODELS", str(weights))
        return plan(shared.folder(tmp_path_factory, "alone", fill))
