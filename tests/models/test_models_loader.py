from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from cloakbench.errors import UserError
from cloakbench.models import loader, registry
from cloakbench.models.mini import tokenizer
from cloakbench.models.mini.architecture import TOKENS


def test_a_model_is_frozen_and_whole(model, weights):
    assert (model.name, model.digest) == ("mini-a", registry.digest(weights / "mini-a"))
    assert isinstance(model.vae, AutoencoderKL)
    assert isinstance(model.unet, UNet2DConditionModel)
    for part in (model.vae, model.unet, model.text_encoder):
        assert not part.training
        for p in part.parameters():
            assert not p.requires_grad
        assert {p.dtype for p in part.parameters()} == {torch.float32}


@pytest.mark.usefixtures("stand_ins")
def test_prediction_types_are_the_models_own():
    prediction_types = {}
    for name in ("mini-a", "mini-b"):
        prediction_types[name] = loader.load(name).scheduler.config.prediction_type
    assert prediction_types == {"mini-a": "epsilon", "mini-b": "v_prediction"}


def test_loading_again_costs_nothing_and_follows_the_folder(model, weights, monkeypatch):
    assert loader.load("mini-a") is model
    assert loader.load(str(weights / "mini-a")).digest == model.digest
    with pytest.raises(UserError):
        loader.load("mini-c")


def test_embeddings_have_the_models_length(model):
    texts = ["", "a painting of a boat", "word " * 100, "żółć 猫"]
    embedded = model.embed(texts)
    assert embedded.shape == (4, TOKENS, 32)
    assert embedded.isfinite().all()
    assert torch.allclose(model.embed(texts[1:2]), embedded[1:2], atol=1e-5)


def test_decoding_undoes_the_scaling_and_does_not_depend_on_the_chunk(model):
    latents = torch.randn((3, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    images = model.decode(latents, chunk=2)
    assert images.shape == (3, 3, 128, 128)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    with torch.no_grad():
        plain = model.vae.decode(latents / model.vae.config.scaling_factor).sample
    assert torch.allclose(images, (plain / 2 + 0.5).clamp(0, 1), atol=1e-4)


def test_a_surrogate_shows_all_parts_and_no_seeds(model):
    surrogate = model.surrogate()
    assert surrogate.vae is model.vae
    x = torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(0))
    assert surrogate.perceptual(x, x).tolist() == [0.0, 0.0]
    assert {"name", "vae", "unet", "text_encoder", "tokenizer", "scheduler", "perceptual", "device", "dtype"} == set(
        type(surrogate).__slots__
    )


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    tokenizer.write(folder, ["painting", "boat", "style", "a"])
    return folder


def test_learned_words_are_one_token_and_any_text_survives(words):
    learned = tokenizer.load(words)
    assert len(learned("a painting style boat").input_ids) == 4 + 2
    for text in ("a painting of a boat", "unknown words", "ünïcödé"):
        ids = learned(text).input_ids
        assert learned.decode(ids, skip_special_tokens=True).strip() == text


def test_both_libraries_number_tokens_alike(words):
    import open_clip

    other = open_clip.SimpleTokenizer(bpe_path=str(words / "bpe.txt.gz"), context_length=TOKENS)
    learned = tokenizer.load(words)
    for text in ("a painting of a boat", "style, unknown!", "42 boats"):
        ids = learned(text).input_ids
        assert other([text])[0, : len(ids)].tolist() == ids
