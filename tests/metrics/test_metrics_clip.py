from __future__ import annotations

import numpy as np
import open_clip
import pytest
import tiny
import torch
from PIL import Image

from cloakbench.errors import UserError
from cloakbench.metrics import clip, generations, spaces
from cloakbench.metrics.clip import Clip
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.spaces import FeatureImages

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.fixture(scope="module")
def model():
    """An untrained CLIP of OpenAI's shape, small."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return open_clip.CLIP(
            embed_dim=24,
            vision_cfg={"image_size": 32, "layers": 1, "width": 64, "head_width": 64, "patch_size": 8},
            text_cfg={"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
            quick_gelu=True,
        )


@pytest.fixture(scope="module")
def small(model):
    return Clip(model)


def test_features_are_unit_vectors_of_prepared_images(small, model):
    picture = tiny.picture(0, 64, 64)
    half = np.asarray(Image.fromarray(picture).resize((32, 32), Image.Resampling.BICUBIC), np.float32) / 255
    x = torch.from_numpy((half - MEAN) / DEVIATION).permute(2, 0, 1)[None].float()
    with torch.no_grad():
        expected = model.encode_image(x)
    computed_features = small.features([picture])
    assert torch.allclose(computed_features, expected / expected.norm(), atol=1e-5)


def test_of_a_long_image_the_central_square_counts(small):
    picture = tiny.picture(0, 32, 96)
    assert torch.allclose(small.features([picture]), small.features([picture[:, 32:64].copy()]), atol=1e-5)


def test_chunk_and_company_change_nothing(small):
    pictures = [tiny.picture(n, 40 + n, 50) for n in range(5)]
    together = small.features(pictures)
    assert torch.allclose(small.features(pictures, chunk=2), together, atol=1e-6)
    assert torch.allclose(small.features(pictures[::-1]).flip(0), together, atol=1e-6)


def test_texts_are_unit_vectors(small, model):
    text_vectors = small.text_features(["Baroque", "Pop_Art"])
    with torch.no_grad():
        expected = model.encode_text(open_clip.tokenize(["Baroque", "Pop_Art"]))
    assert torch.allclose(text_vectors, torch.nn.functional.normalize(expected, dim=-1), atol=1e-6)


@pytest.mark.parametrize("images", [[], [np.zeros((3, 64, 64), np.uint8)], [np.zeros((64, 64, 3), np.float32)]])
def test_what_are_no_images_is_refused(small, images):
    with pytest.raises(UserError, match="expected"):
        small.features(images)


def test_openais_file_is_read_in_single_precision(model, tmp_path):
    path = tmp_path / "ViT-B-32.pt"
    state = {}
    for name, value in model.state_dict().items():
        if name != "attn_mask":
            state[name] = value.half()
    torch.save(state, path)
    loaded = clip.load(path)
    assert {p.dtype for p in loaded.model.parameters()} == {torch.float32}
    assert loaded.features([tiny.picture(0)]).shape == (1, 24)


def test_metrics_on_clip_go_the_whole_way(small, monkeypatch, stand_ins):
    """From pictures to values with an untrained network: numbers without meaning, in their range."""
    monkeypatch.setattr(clip, "load", lambda path, device: small)
    monkeypatch.setattr(spaces, "_path", lambda name: name)
    known = MeasuredSet(
        FeatureImages([tiny.picture(n) for n in range(4)]),
        FeatureImages([tiny.picture(9 + n) for n in range(5)]),
        "claude-monet",
    )
    measured = generations.measure(["cmmd", "clip-distance", "clip-accuracy"], known)
    assert measured.skipped == {}
    assert 0 < measured.values["cmmd"][0] < 20
    for value in measured.values["clip-distance"]:
        assert 0 <= value <= 2
    assert set(measured.values["clip-accuracy"]) <= {0.0, 1.0}
    same = MeasuredSet(known.generated, known.generated)
    assert generations.measure(["cmmd"], same).values["cmmd"] == [pytest.approx(0, abs=1e-9)]
