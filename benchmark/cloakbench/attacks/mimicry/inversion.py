"""Textual inversion (Gal et al. 2022, arXiv 2208.01618) and DreamStyler (Ahn et al. 2024, arXiv 2309.06933)."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from cloakbench.attacks.mimicry.finetune import Contexts, Examples, FinetuneRecipe, drawn_loss, finetune, posterior
from cloakbench.attacks.mimicry.personalised import Personalised, TrainingSet, keep_token, with_word
from cloakbench.errors import UserError
from cloakbench.models.loader import BaseModel
from cloakbench.models.xl import XlTextEncoder
from cloakbench.whitebox import autocast


class Inversion:
    """Learns new words that stand for the artist in the captions; no weight of the model changes.

    One word for each of `stages` equal stretches of the denoising. All start as the word `initial`. The captions say
    what else is in an image, so that the words need not (DreamStyler's context-aware prompts).
    """

    def __init__(
        self,
        stages: int,
        initial: str,
        steps: int,
        batch: int,
        learning_rate: float,
        average: float = 0.0,
        weight_decay: float = 0.01,
    ) -> None:
        if stages < 1 or not initial:
            raise ValueError("stages must be at least 1, initial a word")
        self.stages = stages
        self.initial = initial
        self.recipe = FinetuneRecipe(steps, batch, learning_rate, average, weight_decay)

    def personalise(self, model: BaseModel, data: TrainingSet, seed: int) -> Personalised:
        """Returns the model with new words that have learned `data`, and their embeddings alone."""
        words = tuple(f"<{data.token}-{n}>" for n in range(self.stages))
        learner, vectors = with_words(model, words, self.initial)
        captions = keep_token(model, data.captions, data.token)
        texts = [with_word(captions, data.token, word) for word in words]
        examples = Examples(*posterior(model, data.images), staged_contexts(learner, texts))
        losses = finetune([vectors], drawn_loss(learner, examples, self.recipe.batch), self.recipe, seed)
        vectors.requires_grad_(False)
        embeddings = {word: vector.clone() for word, vector in zip(words, vectors, strict=True)}
        return Personalised(learner, losses, data.token, words, embeddings)


class TextualInversion(Inversion):
    """One new word for the whole denoising."""

    def __init__(self, initial: str, steps: int, batch: int, learning_rate: float, average: float = 0.0) -> None:
        super().__init__(1, initial, steps, batch, learning_rate, average)


class DreamStyler(Inversion):
    """Several new words, each for its own stretch of the denoising; the noisiest stretch has the first."""


class Vocabulary(nn.Module):
    """A token embedding whose ids from `first` on are new words, the only weights that train."""

    def __init__(self, pretrained: nn.Embedding, vectors: nn.Parameter, first: int) -> None:
        super().__init__()
        self.pretrained = pretrained
        self.vectors = vectors
        self.first = first

    def forward(self, ids: Tensor) -> Tensor:
        """Returns embeddings `[..., C]` for token ids."""
        new = self.vectors[(ids - self.first).clamp(min=0)].to(self.pretrained.weight.dtype)
        return torch.where((ids >= self.first)[..., None], new, self.pretrained(ids.clamp(max=self.first - 1)))


def with_words(model: BaseModel, words: tuple[str, ...], initial: str) -> tuple[BaseModel, nn.Parameter]:
    """Returns the model with words added to copies of its tokenizer and text encoder, and their vectors `[S, C]`.

    The vectors are float32 and start as the mean embedding of `initial`'s tokens. Raises ValueError where the tokenizer
    has one of the words already, and UserError for a model with two text encoders.
    """
    if isinstance(model.text_encoder, XlTextEncoder):
        raise UserError(
            f"expected a model with one text encoder for a learned word, got {model.name!r} with two",
            "Take lora or dreambooth on this model.",
        )
    tokenizer, encoder = copy.deepcopy(model.tokenizer), copy.deepcopy(model.text_encoder)
    pretrained = encoder.get_input_embeddings()
    start = tokenizer(initial, add_special_tokens=False).input_ids
    if tokenizer.add_tokens(list(words)) != len(words):
        raise ValueError(f"expected words that the tokenizer does not know, got {', '.join(words)}")
    vectors = nn.Parameter(pretrained.weight[start].float().mean(0).repeat(len(words), 1))
    # The table of some models has more rows than their tokenizer has words.
    encoder.set_input_embeddings(Vocabulary(pretrained, vectors, len(tokenizer) - len(words)))
    return replace(model, tokenizer=tokenizer, text_encoder=encoder), vectors


def staged_contexts(learner: BaseModel, texts: list[list[str]]) -> Contexts:
    """Returns contexts with gradients into the words: `texts[s]` are the captions for stretch s of the denoising."""
    ids = torch.stack([learner.tokens(captions) for captions in texts])
    length = learner.scheduler.config.num_train_timesteps

    def contexts(rows: Tensor, times: Tensor) -> Tensor:
        stretches = len(texts) - 1 - times * len(texts) // length
        with autocast(learner.device, learner.dtype):
            return torch.as_tensor(learner.text_encoder(ids[stretches, rows]).last_hidden_state)

    return contexts
