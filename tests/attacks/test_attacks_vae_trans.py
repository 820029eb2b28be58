"""Projection by another autoencoder, and the autoencoders that it and impress load."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderTiny
from purifying import PICTURES, apart, around, build

from cloakbench import images
from cloakbench.datasets.artists import mini_artist
from cloakbench.errors import UserError
from cloakbench.images import to_tensor
from cloakbench.models import autoencoders, loader, registry
from cloakbench.suites import load as suites

CPU = torch.device("cpu")


def test_vae_trans_is_one_pass_through_the_autoencoder(stand_ins):
    [cleaned] = build("vae-trans", vae="mini-vae-c").apply(PICTURES[:1], around((1,)))
    vae = AutoencoderTiny.from_pretrained(stand_ins / "mini-vae-c").eval()
    with torch.no_grad():
        expected = vae.decode(vae.encode(to_tensor(PICTURES[:1]) * 2 - 1).latents).sample
    assert apart(cleaned, images.quantise(expected / 2 + 0.5)[0]) <= 1


def test_an_autoencoder_comes_from_a_pipeline_or_a_bare_folder(stand_ins):
    inside, bare = (autoencoders.load(name, CPU, torch.float32) for name in ("mini-a", str(stand_ins / "mini-vae-c")))
    assert autoencoders.load("mini-a", CPU, torch.float32) is inside
    assert (inside.divisor, bare.divisor) == (8, 4)
    pictures = to_tensor(PICTURES) * 2 - 1
    mean, deviation = inside.posterior(pictures)
    encoded = loader.load("mini-a").vae.encode(pictures).latent_dist
    assert torch.allclose(mean, encoded.mean, atol=1e-5)
    assert torch.allclose(deviation, encoded.std, atol=1e-5)
    mean, deviation = bare.posterior(pictures)
    assert mean.shape == (3, 3, 32, 32)
    assert not deviation.any()
    for purified_set in (inside, bare):
        for p in purified_set.module.parameters():
            assert not p.requires_grad


def test_the_shipped_autoencoder_is_small_and_knows_the_art(monkeypatch):
    monkeypatch.delenv("CLOAKBENCH_MODELS", raising=False)
    folder = registry.WEIGHTS / "mini-vae-c"
    if not (folder / "config.json").exists():
        pytest.skip("the trained weights of mini-vae-c are not in the package yet")
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 3_000_000
    artist = mini_artist("stencil", suites.load("mini"))
    cleaned = build("vae-trans", vae="mini-vae-c").apply(artist.images, around(range(len(artist.images))))
    error = (to_tensor(cleaned) - to_tensor(artist.images)).square().mean()
    assert float(-10 * error.log10()) > 20  # dB; the model's own gates are measured where it is trained


@pytest.mark.parametrize("config", ['{"_class_name": "AutoencoderTiny"}', '{"_class_name": "UNet2DModel"}', "{"])
def test_a_folder_that_is_no_autoencoder_is_told(tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match="expected an AutoencoderKL or AutoencoderTiny in"):
        build("vae-trans", vae=str(tmp_path)).apply(PICTURES[:1], around((1,)))
