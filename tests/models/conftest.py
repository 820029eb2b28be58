from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def bare(monkeypatch, tmp_path) -> Path:
    """No folder in place of any model, and a lock file of the test's own."""
    monkeypatch.delenv("CLOAKBENCH_MODELS", raising=False)
    monkeypatch.setenv("CLOAKBENCH_LOCK", str(tmp_path / "lock.json"))
    return tmp_path
