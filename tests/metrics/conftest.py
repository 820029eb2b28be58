from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def assets(monkeypatch) -> Path:
    """The folder of real weights and published values; libraries look for weights in it, and nothing is downloaded."""
    folder = Path(os.environ.get("CLOAKBENCH_ASSETS") or ROOT.parent / "shared" / "assets").absolute()
    if not (folder / "torch_home").is_dir():
        pytest.skip(f"no real weights: no torch_home in {folder} (CLOAKBENCH_ASSETS)")
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch_home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return folder


@pytest.fixture
def no_weights(tmp_path, monkeypatch) -> Path:
    """A torch hub directory that holds nothing, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return tmp_path / "torch" / "hub"
