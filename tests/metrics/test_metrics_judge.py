from __future__ import annotations

import json
import shutil

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file

from cloakbench.datasets.procedural import styles
from cloakbench.metrics import judge
from cloakbench.metrics.judge import Judge
from cloakbench.models import registry


@pytest.fixture
def shown(stand_ins):
    return judge.load()


def test_features_are_unit_vectors_whatever_the_size(shown):
    sizes = [(128, 128), (64, 64), (93, 131), (300, 200)]
    features = shown.features([tiny.picture(0, *size) for size in sizes])
    assert features.shape == (4, 16)
    assert torch.allclose(features.norm(dim=1), torch.ones(4), atol=1e-5)


def test_features_do_not_depend_on_company(shown):
    pictures = [tiny.picture(n) for n in range(5)]
    together = shown.features(pictures, chunk=4)
    assert torch.allclose(shown.features(pictures[3:4]), together[3:4], atol=1e-5)
    assert torch.allclose(shown.features(pictures, chunk=1), together, atol=1e-5)


def test_the_named_style_is_that_of_the_nearest_text(shown, monkeypatch):
    texts = torch.nn.functional.normalize(
        torch.randn(len(shown.styles), 16, generator=torch.Generator().manual_seed(0))
    )
    asked = []
    monkeypatch.setattr(shown, "text_features", lambda names: asked.extend(names) or texts)
    assert shown.named_style(texts[[3, 0, 7]]) == [shown.styles[3], shown.styles[0], shown.styles[7]]
    assert asked[0] == f"a painting in the style of {shown.styles[0]}"


def test_any_text_encodes(shown):
    features = shown.text_features(["a boat", "żółć 猫 \U0001f408", "", "word " * 100])
    assert features.isfinite().all()
    assert torch.allclose(features.norm(dim=1), torch.ones(4), atol=1e-5)


def test_missing_weights_are_an_error_not_a_random_judge(weights, tmp_path):
    folder = tmp_path / "mini-clip"
    shutil.copytree(weights / "mini-clip", folder)
    state = load_file(folder / "open_clip_model.safetensors")
    del state["text_projection"]
    save_file(state, folder / "open_clip_model.safetensors")
    with pytest.raises(RuntimeError, match="text_projection"):
        Judge(folder)


def test_the_judge_is_known_by_its_files(shown, weights):
    assert shown.digest == registry.digest(weights / "mini-clip")
    assert judge.load() is shown


def test_the_shipped_judge_knows_every_style():
    path = registry.WEIGHTS / "mini-clip" / "styles.json"
    if not path.exists():
        pytest.skip("the trained weights of mini-clip are not in the package yet")
    assert json.loads(path.read_text()) == [style.name for style in styles.STYLES]
    assert Judge(path.parent).features([tiny.picture(0)]).shape == (1, 64)
