"""Textual inversion and DreamStyler against plain code with a longer table of embeddings, and stock diffusers."""

from __future__ import annotations

import copy

import formula
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import load_file

from cloakbench.attacks.mimicry.inversion import DreamStyler, TextualInversion, staged_contexts, with_words
from cloakbench.attacks.mimicry.personalised import Personalised
from cloakbench.attacks.mimicry.sampling import generate, starting_noise
from cloakbench.schemas.suite import Sampling

DATA = formula.data()
INITIAL = "boat painting"
ONE_STEP = {"initial": INITIAL, "steps": 1, "batch": 3, "learning_rate": 0.01}
PLAN = Sampling(prompts=["x"], per_prompt=1, steps=4, guidance=3.0, scheduler="ddim")


class Plain:
    """The new words as rows behind a longer table of embeddings, all of which gets gradients."""

    def __init__(self, base, count):
        self.base = base
        self.tokenizer, self.encoder = copy.deepcopy(base.tokenizer), formula.copied(base.text_encoder)
        table = self.encoder.get_input_embeddings().weight.detach()
        self.first = len(table)
        start = table[base.tokenizer(INITIAL, add_special_tokens=False).input_ids].mean(0)
        self.table = torch.nn.Parameter(torch.cat([table, start.repeat(count, 1)]))
        self.encoder.set_input_embeddings(torch.nn.Embedding(*self.table.shape, _weight=self.table))
        self.encoder.get_input_embeddings().weight = self.table
        self.words = [f"<plain{n}>" for n in range(count)]
        self.tokenizer.add_tokens(self.words)

    def context(self, texts):
        return self.encoder(formula.text_ids(self.tokenizer, texts)).last_hidden_state

    def loss(self, drawn, words):
        texts = []
        for row, word in zip(drawn.rows.tolist(), words, strict=True):
            texts.append(DATA.captions[row].replace("sks", word))
        return formula.loss(self.base, self.base.unet, drawn, self.context(texts))

    @property
    def gradients(self):
        return self.table.grad[self.first :]


def stretch(time, count):
    """Which word: the noisiest times have the first."""
    return next(n for n in range(count) if time >= formula.STEPS * (count - 1 - n) / count)


def test_one_step_of_textual_inversion_is_that_of_plain_code(base):
    with formula.watching() as seen:
        learned = TextualInversion(**ONE_STEP).personalise(base, DATA, 9)
    plain = Plain(base, 1)
    drawn = formula.draw(base, DATA.images, 3, torch.Generator().manual_seed(9))
    loss = plain.loss(drawn, plain.words * 3)
    loss.backward()
    assert learned.losses == pytest.approx([loss.item()], rel=1e-5)
    [vectors], [gradients] = seen.before[0], seen.gradients[0]
    assert torch.allclose(vectors, plain.table.detach()[plain.first :])
    assert vectors.dtype == torch.float32
    formula.assert_equal_gradients([gradients], [plain.gradients])
    [embedding] = learned.adapters.values()
    # The first step of AdamW: decay, then the learning rate in the gradient's direction.
    clear = gradients[0].abs() > 1e-5
    step = vectors[0] * (1 - 0.01 * 0.01) - 0.01 * gradients[0].sign()
    assert clear.sum() > 10
    assert torch.allclose(embedding[clear], step[clear], atol=2e-5)


def test_one_step_of_dreamstyler_is_that_of_plain_code(base):
    with formula.watching() as seen:
        learned = DreamStyler(stages=4, **{**ONE_STEP, "batch": 6}).personalise(base, DATA, 9)
    plain = Plain(base, 4)
    drawn = formula.draw(base, DATA.images, 6, torch.Generator().manual_seed(9))
    mine = [stretch(time, 4) for time in drawn.times.tolist()]
    assert len(set(mine)) > 1
    assert len(set(drawn.rows.tolist())) > 1
    loss = plain.loss(drawn, [plain.words[n] for n in mine])
    loss.backward()
    assert learned.losses == pytest.approx([loss.item()], rel=1e-5)
    formula.assert_equal_gradients(seen.gradients[0], [plain.gradients])


def test_only_the_new_words_change(base):
    learned = DreamStyler(stages=2, **{**ONE_STEP, "steps": 2}).personalise(base, DATA, 1)
    assert learned.model.unet is base.unet
    assert learned.model.vae is base.vae
    before, after = formula.weights(base.text_encoder), formula.weights(learned.model.text_encoder)
    new = [name for name in after if name.endswith("vectors")]
    assert len(new) == 1
    assert formula.same({n.replace("pretrained.", ""): w for n, w in after.items() if n not in new}, before)
    assert torch.equal(after[new[0]], torch.stack(list(learned.adapters.values())))
    texts = ["a painting of a boat", "", "boat"]
    assert torch.equal(learned.model.embed(texts), base.embed(texts))
    for part in (base.unet, base.text_encoder, learned.model.text_encoder):
        for name, p in part.named_parameters():
            if not name.endswith("vectors"):
                assert p.grad is None


def test_each_word_gets_gradients_from_its_own_stretch_alone(model):
    with formula.watching() as seen:
        DreamStyler(stages=3, initial=INITIAL, steps=6, batch=1, learning_rate=0.01).personalise(model, DATA, 2)
    generator, met = torch.Generator().manual_seed(2), set()
    for [gradients] in seen.gradients:
        [time] = formula.draw(model, DATA.images, 1, generator).times.tolist()
        assert gradients.abs().amax(1).gt(0).nonzero().flatten().tolist() == [stretch(time, 3)]
        met.add(stretch(time, 3))
    assert met == {0, 1, 2}


@pytest.fixture
def six(model):
    """A model with six different new words, and their captions for three images."""
    words = tuple(f"<w{n}>" for n in range(6))
    learner, vectors = with_words(model, words, INITIAL)
    vectors.data += torch.randn(vectors.shape, generator=torch.Generator().manual_seed(0))
    return learner, words


TIMES = [0, 166, 167, 333, 334, 500, 666, 667, 833, 834, 999]
WORDS = [5, 5, 4, 4, 3, 2, 2, 1, 1, 0, 0]


def test_in_training_the_first_word_has_the_noisiest_stretch(six):
    learner, words = six
    contexts = staged_contexts(learner, [[f"a boat by {word}", f"{word} painting"] for word in words])
    rows = torch.tensor([n % 2 for n in range(len(TIMES))])
    texts = []
    for w, row in zip(WORDS, rows, strict=True):
        texts.append(f"{words[w]} painting" if row else f"a boat by {words[w]}")
    assert torch.allclose(contexts(rows, torch.tensor(TIMES)), learner.embed(texts), atol=1e-5)
    assert [stretch(time, 6) for time in TIMES] == WORDS


def test_in_sampling_each_step_has_the_word_of_its_stretch(six, monkeypatch):
    learner, words = six
    calls = []
    monkeypatch.setattr(learner.unet, "forward", formula.counting(learner.unet.forward, calls))
    plan = PLAN.model_copy(update={"steps": 12})
    generate(Personalised(learner, token="sks", words=words), ["boat by sks", "sks"], [1, 2], plan)
    assert len(calls) == 12
    met = []
    for (_, time), named in calls:
        n = stretch(int(time), 6)
        expected = learner.embed(["", "", f"boat by {words[n]}", words[n]])
        assert torch.allclose(named["encoder_hidden_states"], expected, atol=1e-5)
        met.append(n)
    assert met == sorted(met)
    assert set(met) == set(range(6))


def test_dreamstyler_with_one_stage_is_textual_inversion(base):
    settings = {**ONE_STEP, "steps": 2}
    learned = DreamStyler(stages=1, **settings).personalise(base, DATA, 3)
    other = TextualInversion(**settings).personalise(base, DATA, 3)
    assert learned.losses == other.losses
    assert learned.words == other.words
    assert formula.same(dict(learned.adapters), dict(other.adapters))
    pictures_by_seed = []
    for mimic in (learned, other):
        pictures_by_seed.append(generate(mimic, ["a boat by sks"], [1], PLAN)[0])
    assert np.array_equal(*pictures_by_seed)


def test_a_token_inside_another_word_stays(model):
    learned = TextualInversion(**ONE_STEP).personalise(model, DATA, 3)
    [word] = learned.words
    embedded = learned.contexts(["masks and desks by sks, sks"])[0]
    assert torch.equal(embedded, learned.model.embed([f"masks and desks by {word}, {word}"]))


def test_a_stock_pipeline_with_our_file_has_our_contexts_and_images(base, stand_ins, tmp_path):
    settings = {**ONE_STEP, "steps": 2, "learning_rate": 0.5}
    learned = TextualInversion(**settings).personalise(base, DATA, 3)
    learned.save(tmp_path / "word.safetensors")
    pipe = StableDiffusionPipeline.from_pretrained(stand_ins / base.name, safety_checker=None, local_files_only=True)
    pipe.load_textual_inversion(tmp_path / "word.safetensors")
    pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    [word] = learned.words
    assert pipe.tokenizer.tokenize(f"a boat by {word}, x").count(word) == 1
    context, _ = pipe.encode_prompt(f"a painting of a boat by {word}", "cpu", 1, False)
    ours = learned.contexts(["a painting of a boat by sks"])[0]
    assert torch.allclose(context, ours, atol=1e-5)
    assert not torch.allclose(ours, base.embed(["a painting of a boat by sks"]), atol=1e-2)
    theirs = pipe(
        f"a boat by {word}",
        latents=starting_noise(base, [5]),
        num_inference_steps=PLAN.steps,
        guidance_scale=PLAN.guidance,
        output_type="np",
    ).images[0]
    [image] = generate(learned, ["a boat by sks"], [5], PLAN)
    assert np.abs(np.rint(theirs * 255) - image.astype(int)).max() <= 1


def test_a_stock_pipeline_takes_each_word_of_a_file_with_several(base, stand_ins, tmp_path):
    learned = DreamStyler(stages=3, **{**ONE_STEP, "steps": 3, "learning_rate": 0.5}).personalise(base, DATA, 3)
    learned.save(tmp_path / "words.safetensors")
    pipe = StableDiffusionPipeline.from_pretrained(stand_ins / base.name, safety_checker=None, local_files_only=True)
    pipe.load_textual_inversion([{word: vector} for word, vector in load_file(tmp_path / "words.safetensors").items()])
    ours = learned.contexts(["a painting of a boat by sks"])
    for n, word in enumerate(learned.words):
        context, _ = pipe.encode_prompt(f"a painting of a boat by {word}", "cpu", 1, False)
        assert torch.allclose(context, ours[n], atol=1e-5)
    assert len({tuple(our.flatten().tolist()) for our in ours}) == 3


def test_a_word_the_tokenizer_knows_is_refused(model):
    learner, _ = with_words(model, ("<w>",), INITIAL)
    with pytest.raises(ValueError, match="expected words that the tokenizer does not know, got <w>, <x>"):
        with_words(learner, ("<w>", "<x>"), INITIAL)


@pytest.mark.parametrize("wrong", [{"stages": 0}, {"initial": ""}, {"batch": 0}])
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ValueError, match="must be at least 1"):
        DreamStyler(**{"stages": 2, **ONE_STEP, **wrong})
