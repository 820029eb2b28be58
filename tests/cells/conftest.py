from __future__ import annotations

import pytest
import running
import tiny


@pytest.fixture(scope="session")
def good_run(weights, tmp_path_factory):
    """One run of the controls and a good protection: the session (its store is read, never written, by the tests)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLOAKBENCH_MODELS", str(weights))
        folder = tmp_path_factory.mktemp("good")
        (folder / "tiny.toml").write_text(tiny.TEXT)
        session = tiny.session(folder / "tiny.toml", folder / "store", [tiny.entry("good")])
        running.run(session, keep_images=True)
        return session
