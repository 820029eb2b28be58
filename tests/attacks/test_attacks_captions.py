"""The artist's token in captions that are longer than a text encoder reads."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from purifying import ASSETS
from transformers import CLIPTokenizer

from cloakbench.attacks.mimicry.personalised import keep_token, require_token
from cloakbench.errors import UserError

LONG = " ".join(f"boat{n}" for n in range(80))


@pytest.fixture
def narrow(sd_weights):
    from cloakbench.models import loader

    return loader.load(str(sd_weights / "sd15"))


def ids_of(model, text):
    return model.tokenizer(text, add_special_tokens=False).input_ids


def test_the_token_survives_a_caption_of_80_words(narrow):
    caption = f"{LONG} in the style of sks"
    token = ids_of(narrow, "sks")
    [before] = narrow.tokens([caption]).tolist()
    [kept] = keep_token(narrow, [caption], "sks")
    [after] = narrow.tokens([kept]).tolist()
    assert not set(token) <= set(before)
    assert set(token) <= set(after)
    assert kept.endswith("in the style of sks")
    assert LONG.startswith(kept.removesuffix(" in the style of sks"))


@pytest.mark.parametrize("caption", ["a boat in the style of sks", f"sks {LONG}", LONG, ""])
def test_captions_whose_token_survives_stay_as_they_are(narrow, caption):
    assert keep_token(narrow, [caption], "sks") == [caption]


def test_no_more_words_go_than_have_to(narrow):
    [kept] = keep_token(narrow, [f"{LONG} by sks"], "sks")
    dropped = LONG.removeprefix(kept.removesuffix(" by sks").rsplit(" ", 2)[0]).split()[0]
    longer = kept.replace(" by sks", f" {dropped} by sks")
    assert len(narrow.tokenizer(kept).input_ids) <= 77 < len(narrow.tokenizer(longer).input_ids)


def test_a_token_that_cannot_be_kept_is_an_error(narrow):
    with pytest.raises(UserError, match="sks"):
        keep_token(narrow, [f"{'x' * 400} a a a sks"], "sks")


def test_a_token_inside_another_word_does_not_count(narrow):
    caption = f"a clerk asks, {LONG} in the style of sks."
    [shortened] = keep_token(narrow, [caption], "sks")
    assert set(ids_of(narrow, "style of sks")) <= set(narrow.tokens([shortened])[0].tolist())
    assert shortened.startswith("a clerk asks, boat0")
    assert shortened.endswith(" in the style of sks.")
    assert keep_token(narrow, [f"a clerk asks, {LONG}"], "sks") == [f"a clerk asks, {LONG}"]


def test_a_prompt_whose_token_would_be_cut_off_is_refused(narrow):
    require_token(narrow, ["a boat in the style of sks", f"sks, {LONG}", LONG], "sks")
    with pytest.raises(UserError, match="got 'boat0"):
        require_token(narrow, ["a boat by sks", f"{LONG} in the style of sks"], "sks")


def test_learned_words_get_a_gradient_behind_a_long_caption(narrow):
    from dataclasses import replace

    import formula

    from cloakbench.attacks.mimicry.inversion import TextualInversion

    data = replace(formula.data(1), captions=[f"{LONG} in the style of sks"], images=torch.rand(1, 3, 64, 80))
    with formula.watching() as seen:
        TextualInversion("painting", steps=1, batch=1, learning_rate=1e-3).personalise(narrow, data, 0)
    assert float(seen.gradients[0][0].abs().max()) > 0


@pytest.fixture(scope="module")
def clip_tokenizer():
    folder = ASSETS / "sd_configs" / "sd15" / "tokenizer"
    if not folder.is_dir():
        pytest.skip("the tokenizer of Stable Diffusion is not here: set CLOAKBENCH_ASSETS")
    return CLIPTokenizer.from_pretrained(folder)


def test_the_real_tokenizer_reads_the_token_as_one_word_and_keeps_it_behind_a_long_caption(clip_tokenizer):
    model = SimpleNamespace(name="sd15", tokenizer=clip_tokenizer)
    assert clip_tokenizer("a sks painting").input_ids == [49406, 320, 48136, 3086, 49407]
    [kept] = keep_token(model, [f"{LONG} in the style of sks"], "sks")
    padded = clip_tokenizer(kept, padding="max_length", truncation=True, max_length=77).input_ids
    assert 48136 in padded
    assert 48136 not in clip_tokenizer(f"{LONG} in the style of sks", truncation=True, max_length=77).input_ids


def test_the_real_tokenizer_reads_learned_words_as_one_token_beside_punctuation(clip_tokenizer):
    own = copy.deepcopy(clip_tokenizer)
    own.add_tokens(["<sks-0>"])
    new = own.convert_tokens_to_ids("<sks-0>")
    assert new == 49408
    for text in ("by <sks-0>, oil", "(<sks-0>)", "<sks-0>'s"):
        assert own(text).input_ids.count(new) == 1
    assert own("oil").input_ids == clip_tokenizer("oil").input_ids
