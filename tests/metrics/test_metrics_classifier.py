from __future__ import annotations

from types import SimpleNamespace

import pytest
import tiny
import torch

from cloakbench.errors import UserError
from cloakbench.images import fit_square, to_tensor
from cloakbench.metrics import classifier
from cloakbench.metrics.classifier import SAMPLES, SURVIVORS, most_likely

TEXTS = ["a painting of a boat", "a boat", "a painting", "style", "a style of a painting"]
ROUNDS = {"samples": (2, 4, 10), "survivors": (4, 2, 1)}


def test_time_steps_are_those_of_the_authors():
    """Middles of equal stretches among every second of 1000 steps: written out from Li et al.'s slices."""
    every = list(range(1, 1000, 2))
    assert classifier._times(1000, 500, 500) == every
    assert classifier._times(1000, 500, 20) == every[12::25]
    assert classifier._times(1000, 500, 50) == every[5::10]
    assert classifier._times(1000, 500, 100) == every[2::5]
    assert [len(classifier._times(1000, max(SAMPLES), count)) for count in SAMPLES] == list(SAMPLES)


def test_a_short_schedule_is_used_up():
    assert classifier._times(10, 500, 500) == list(range(10))
    assert classifier._times(10, 500, 3) == [1, 4, 7]


def by_loops(model, picture, texts, samples, survivors):
    """The formula text by text and step by step: no batches, no shared noise tensor."""
    x = to_tensor([fit_square(picture, 128)]) * 2 - 1
    clean = model.vae.encode(x).latent_dist.mean * model.vae.config.scaling_factor
    alphas, left, errors = model.scheduler.alphas_cumprod, list(range(len(texts))), {}
    for count, stay in zip(samples, survivors, strict=True):
        for text in left:
            for t in classifier._times(len(alphas), max(samples), count):
                noise = torch.randn(clean.shape[1:], generator=torch.Generator().manual_seed(t))[None]
                a = alphas[t]
                noised = a.sqrt() * clean + (1 - a).sqrt() * noise
                out = model.unet(noised, t, encoder_hidden_states=model.embed([texts[text]])).sample
                if model.scheduler.config.prediction_type == "v_prediction":
                    out = a.sqrt() * out + (1 - a).sqrt() * noised
                errors[text, t] = float(((out - noise) ** 2).mean())
        means = {}
        for text in left:
            means[text] = sum(e for (n, _), e in errors.items() if n == text) / sum(n == text for n, _ in errors)
        left = sorted(left, key=means.__getitem__)[:stay]
    return left


@pytest.mark.parametrize("alias", ["mini-a", "mini-b"])
@torch.no_grad()
def test_the_likeliest_text_is_that_of_the_loops(alias, stand_ins):
    from cloakbench.models import loader

    model, picture = loader.load(alias), tiny.picture(1)
    expected = by_loops(model, picture, TEXTS, **ROUNDS)
    assert most_likely(model, [picture], TEXTS, **ROUNDS) == [expected]


def test_no_image_depends_on_another_nor_on_the_chunk(model):
    pictures = [tiny.picture(0), tiny.picture(1, 160, 140)]
    together = most_likely(model, pictures, TEXTS, samples=(3, 6), survivors=(4, 3))
    assert together == [most_likely(model, [picture], TEXTS, (3, 6), (4, 3), chunk=2)[0] for picture in pictures]
    for positions in together:
        assert len(positions) == 3


def test_texts_that_fall_behind_are_not_tried_again(model, monkeypatch):
    asked = []

    def unet(noised, at, encoder_hidden_states):
        asked.extend(zip(at.tolist(), encoder_hidden_states.flatten().tolist(), strict=True))
        # The farther a text stands from 2, the worse it predicts.
        return SimpleNamespace(
            sample=(encoder_hidden_states - 2).abs().view(-1, 1, 1, 1) * 10 + torch.zeros_like(noised)
        )

    class FakeModel:
        facts = SimpleNamespace(image_size=128)
        device, dtype, vae, scheduler = model.device, model.dtype, model.vae, model.scheduler

        def embed(self, texts):
            return torch.arange(len(texts)).float().view(-1, 1, 1)

    fake = FakeModel()
    fake.unet = unet
    assert most_likely(fake, [tiny.picture(0)], ["t"] * 6, samples=(2, 5), survivors=(3, 1)) == [[2]]
    first, later = set(classifier._times(1000, 5, 2)), set(classifier._times(1000, 5, 5))
    assert {text for t, text in asked if t in first} == set(range(6))
    assert {text for t, text in asked if t in later - first} == {1.0, 2.0, 3.0}
    assert len(asked) == len(set(asked))


@pytest.mark.parametrize(
    ("images", "texts", "rounds", "message"),
    [
        ([], TEXTS, {}, "at least one image, got none"),
        ([tiny.picture(0)], TEXTS[:1], {}, "at least 2 texts to choose from, got 1"),
        ([tiny.picture(0)], TEXTS, {"samples": (5, 2), "survivors": (3, 1)}, r"got \[5, 2\] and \[3, 1\]"),
        ([tiny.picture(0)], TEXTS, {"samples": (2, 5), "survivors": (1, 3)}, r"got \[2, 5\] and \[1, 3\]"),
        ([tiny.picture(0)], TEXTS, {"samples": (2,), "survivors": (3, 1)}, r"got \[2\] and \[3, 1\]"),
        ([tiny.picture(0)], TEXTS, {"samples": (), "survivors": ()}, r"got \[\] and \[\]"),
    ],
)
def test_misuse_is_told(images, texts, rounds, message, model):
    with pytest.raises(UserError, match=message):
        most_likely(model, images, texts, **({"samples": SAMPLES, "survivors": SURVIVORS} | rounds))


@pytest.mark.long
def test_the_trained_model_names_the_styles_it_has_learned():
    import learned

    if not learned.present():
        pytest.skip("the trained weights of mini-a are not in the package yet")
    from cloakbench.datasets.procedural import styles
    from cloakbench.models import loader

    known = styles.names("training")
    texts = [f"a painting in the style of {style}" for style in known]
    pictures = [styles.paint(known[n], "boat", [1, n]) for n in range(6)]
    found = most_likely(loader.load("mini-a"), pictures, texts, samples=(20, 50), survivors=(6, 3))
    assert sum(n in likeliest for n, likeliest in enumerate(found)) >= 5  # one in six by chance
