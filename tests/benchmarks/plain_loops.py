"""Training as the example scripts of diffusers do it, to measure ours against: nothing is computed ahead of its step.

Each step reads its images from files and transforms them, tokenizes their captions, encodes both, and ends with a
loss that is read. DreamBooth follows `train_dreambooth.py` with prior preservation, LoRA
`train_text_to_image_lora.py`, textual inversion `textual_inversion.py`; all with their defaults, without workers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.optimization import get_scheduler
from peft import LoraConfig
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from cloakbench.models.loader import BaseModel

Item = tuple[Tensor, Tensor]
"""Pixels in [-1, 1] and token ids."""
WORD = "<artist>"


@dataclass(frozen=True)
class LoopJob:
    """What a loop learns from and how: folders of pictures, a caption for each of the artist's, one for the class's."""

    model: BaseModel
    pictures: Path
    captions: Sequence[str]
    class_pictures: Path
    class_caption: str
    token: str
    side: int
    steps: int
    settings: dict[str, Any]


class Pictures(Dataset[Item]):
    """Pictures of a folder with their captions."""

    def __init__(self, folder: Path, captions: Sequence[str], tokenizer: Any, side: int) -> None:
        self.paths = sorted(folder.iterdir())
        self.captions = captions
        self.tokenizer = tokenizer
        self.prepare = transforms.Compose(
            [
                transforms.Resize(side, interpolation=transforms.InterpolationMode.BILINEAR),
                transforms.CenterCrop(side),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5], [0.5]),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Item:
        with Image.open(self.paths[index]) as image:
            pixels = self.prepare(image.convert("RGB"))
        length = self.tokenizer.model_max_length
        text = self.captions[index % len(self.captions)]
        ids = self.tokenizer(text, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
        return pixels, ids.input_ids[0]


class Pairs(Dataset[tuple[Item, Item]]):
    """Pictures of the artist, each beside one of the class; the shorter folder is gone through again."""

    def __init__(self, first: Pictures, second: Pictures) -> None:
        self.first = first
        self.second = second

    def __len__(self) -> int:
        return max(len(self.first), len(self.second))

    def __getitem__(self, index: int) -> tuple[Item, Item]:
        return self.first[index % len(self.first)], self.second[index % len(self.second)]


def together(pairs: Sequence[tuple[Item, Item]]) -> Item:
    """Returns one batch: all of the artist, then all of the class."""
    items = [first for first, _ in pairs] + [second for _, second in pairs]
    return torch.stack([pixels for pixels, _ in items]), torch.stack([ids for _, ids in items])


def without_end(loader: DataLoader[Any]) -> Iterator[Item]:
    """Yields batches of one pass after the other."""
    while True:
        yield from loader


def predict(model: BaseModel, unet: Any, encoder: Any, batch: Item) -> tuple[Tensor, Tensor]:
    """Returns the prediction for a batch and what it should be."""
    pixels, ids = batch[0].to(model.device, model.dtype), batch[1].to(model.device)
    latents = model.vae.encode(pixels).latent_dist.sample() * model.vae.config.scaling_factor
    noise = torch.randn_like(latents)
    last = model.scheduler.config.num_train_timesteps
    times = torch.randint(0, last, (len(latents),), device=latents.device).long()
    noisy = model.scheduler.add_noise(latents, noise, times)
    mixed = model.dtype != torch.float32
    trains = encoder.training  # a frozen one is in the model's precision already
    with torch.autocast(model.device.type, model.dtype, enabled=mixed and trains):
        context = encoder(ids).last_hidden_state.to(model.dtype)
    v = model.scheduler.config.prediction_type == "v_prediction"
    target = model.scheduler.get_velocity(latents, noise, times) if v else noise
    with torch.autocast(model.device.type, model.dtype, enabled=mixed):
        predicted = unet(noisy, times, context, return_dict=False)[0]
    return predicted.float(), target.float()


def train(
    weights: list[nn.Parameter],
    batches: Iterator[Item],
    loss: Callable[[Item], Tensor],
    job: LoopJob,
    clip: bool = True,
    after: Callable[[], None] = lambda: None,
) -> list[float]:
    """Trains `weights`; `after` is called at the end of each step. Returns the losses."""
    optimizer = torch.optim.AdamW(weights, lr=job.settings["learning_rate"])
    rate = get_scheduler("constant", optimizer=optimizer)
    losses = []
    for _ in range(job.steps):
        value = loss(next(batches))
        value.backward()  # type: ignore[no-untyped-call]
        if clip:
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
        after()
        losses.append(value.detach().item())
    return losses


def dreambooth(job: LoopJob) -> list[float]:
    """Fine-tunes a copy of the denoiser, in float32 weights, on the artist's pictures and the class's."""
    model = job.model
    unet = copy.deepcopy(model.unet).float().train().requires_grad_(True)
    artist = Pictures(job.pictures, job.captions, model.tokenizer, job.side)
    kind = Pictures(job.class_pictures, [job.class_caption], model.tokenizer, job.side)
    loader = DataLoader(Pairs(artist, kind), job.settings["batch"], shuffle=True, drop_last=True, collate_fn=together)

    def loss(batch: Item) -> Tensor:
        predicted, target = predict(model, unet, model.text_encoder, batch)
        (mine, other), (truth, other_truth) = predicted.chunk(2), target.chunk(2)
        prior = F.mse_loss(other, other_truth)
        return F.mse_loss(mine, truth) + float(job.settings["prior_weight"]) * prior

    return train(list(unet.parameters()), without_end(loader), loss, job)


def lora(job: LoopJob) -> list[float]:
    """Trains adapters on the attention of a copy of the denoiser."""
    model, settings = job.model, job.settings
    unet = copy.deepcopy(model.unet)
    attention = ["to_k", "to_q", "to_v", "to_out.0"]
    unet.add_adapter(
        LoraConfig(
            r=settings["rank"], lora_alpha=settings["alpha"], init_lora_weights="gaussian", target_modules=attention
        )
    )
    unet.train()
    weights = [p for p in unet.parameters() if p.requires_grad]
    for weight in weights:
        weight.data = weight.data.float()
    loader = DataLoader(_pictures(job, model.tokenizer), settings["batch"], shuffle=True, drop_last=True)

    def loss(batch: Item) -> Tensor:
        return F.mse_loss(*predict(model, unet, model.text_encoder, batch))

    return train(weights, without_end(loader), loss, job)


def textual_inversion(job: LoopJob) -> list[float]:
    """Learns a word in a grown table of embeddings; after each step the rows of the known words are put back."""
    model = job.model
    tokenizer, encoder = copy.deepcopy(model.tokenizer), copy.deepcopy(model.text_encoder).float().train()
    tokenizer.add_tokens([WORD])
    encoder.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    table = encoder.get_input_embeddings().weight.requires_grad_(True)
    new = tokenizer.convert_tokens_to_ids(WORD)
    with torch.no_grad():
        table[new] = table[tokenizer(job.settings["initial"], add_special_tokens=False).input_ids[0]]
    original = table.detach().clone()

    def restore() -> None:
        has_word = torch.ones(len(tokenizer), dtype=torch.bool)
        has_word[new] = False
        with torch.no_grad():
            table[has_word] = original[has_word]

    loader = DataLoader(_pictures(job, tokenizer, WORD), job.settings["batch"], shuffle=True, drop_last=True)

    def loss(batch: Item) -> Tensor:
        return F.mse_loss(*predict(model, model.unet, encoder, batch))

    return train([table], without_end(loader), loss, job, clip=False, after=restore)


def _pictures(job: LoopJob, tokenizer: Any, word: str = "") -> Pictures:
    captions = [text.replace(job.token, word or job.token) for text in job.captions]
    return Pictures(job.pictures, captions, tokenizer, job.side)
