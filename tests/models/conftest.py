from __future__ import annotations

from pathlib import Path

import pytest
from training import small_teacher

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini import tokenizer
from cloakbench.models.mini.train import teacher
from cloakbench.models.mini.train.pool import Pool, Worker
from tests import shared


@pytest.fixture
def bare(monkeypatch, tmp_path) -> Path:
    """No folder in place of any model, and a lock file of the test's own."""
    monkeypatch.delenv("CLOAKBENCH_MODELS", raising=False)
    monkeypatch.setenv("CLOAKBENCH_LOCK", str(tmp_path / "lock.json"))
    return tmp_path


@pytest.fixture(scope="session")
def pool_folder(tmp_path_factory) -> Path:
    """Six chunks of eight pictures with the small teacher's latents."""

    def fill(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(teacher, "load", lambda name, device="cpu": small_teacher())
            Worker(folder, "small").fill(6, 5.0, count=8)

    return shared.folder(tmp_path_factory, "pool", fill)


@pytest.fixture
def pool(pool_folder) -> Pool:
    return Pool(pool_folder, "small", known_only=False)


@pytest.fixture(scope="session")
def words(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("words")
    tokenizer.write(folder, tokenizer.words_to_learn(styles.learnable_names(), list(scenes.SUBJECTS)))
    return folder
