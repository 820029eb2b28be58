from __future__ import annotations

import pytest

from cloakbench.errors import UserError
from cloakbench.models import registry
from cloakbench.models.aliases import MODELS


def test_aliases_are_unique_and_found():
    names = [facts.name for facts in MODELS]
    assert len(set(names)) == len(names)
    assert [registry.find(name) for name in names] == list(MODELS)


def test_an_unknown_model_names_the_nearest():
    with pytest.raises(
        UserError, match=r"expected a folder in diffusers layout or a model alias \(mini-a.*got 'mini-aa'"
    ) as e:
        registry.find("mini-aa")
    assert "Did you mean 'mini-a'?" in e.value.hint


def test_the_variable_replaces_what_it_holds_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setenv("CLOAKBENCH_MODELS", str(tmp_path))
    assert registry.weights("mini-clip") == registry.WEIGHTS / "mini-clip"
    (tmp_path / "mini-clip").mkdir()
    assert registry.weights("mini-clip") == tmp_path / "mini-clip"
    monkeypatch.setenv("CLOAKBENCH_MODELS", "")
    assert registry.weights("mini-clip") == registry.WEIGHTS / "mini-clip"


def test_a_local_folder_is_a_model(weights, tmp_path):
    folder = weights / "mini-b"
    assert registry.find(str(folder)).name == "mini-b"
    assert registry.folder(str(folder)) == folder
    with pytest.raises(UserError, match="or a model alias"):
        registry.find(str(tmp_path))


def test_missing_weights_are_explained(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "WEIGHTS", tmp_path)
    monkeypatch.delenv("CLOAKBENCH_MODELS", raising=False)
    for ask in (
        lambda: registry.folder("mini-a"),
        lambda: registry.digest(tmp_path / "mini-clip"),
        lambda: registry.file_digest(tmp_path / "mini-lpips.safetensors"),
    ):
        with pytest.raises(UserError, match=f"expected .*{tmp_path.name}") as caught:
            ask()
        assert caught.value.hint == registry.REPAIR


def test_a_digest_is_of_names_and_contents(tmp_path):
    def digest(folder, **files):
        model_folder = tmp_path / folder
        model_folder.mkdir()
        for name, text in files.items():
            (model_folder / f"{name}.json").write_text(text)
        (model_folder / "README.md").write_text(folder)
        return registry.digest(model_folder)

    base = digest("one", a="1", b="2")
    assert digest("two", a="1", b="2") == base
    assert digest("three", a="1", b="3") != base
    assert digest("four", a="1", c="2") != base
    assert digest("five", a="2", b="1") != base
