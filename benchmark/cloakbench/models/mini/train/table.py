"""The stages of the training by name: what each learns from, what it goes on from, what it writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from transformers import CLIPTokenizer

from cloakbench.datasets.procedural import scenes, styles
from cloakbench.models.mini import architecture, tokenizer
from cloakbench.models.mini.architecture import MINI_A, MINI_B, MINI_XL, Base
from cloakbench.models.mini.train import (
    assemble,
    data,
    decoder,
    denoiser,
    distil,
    export,
    independent,
    judge,
    perceptual,
    purifier,
    teacher,
    viewer,
    viewer_material,
)
from cloakbench.models.mini.train.loop import Recipe
from cloakbench.models.mini.train.pool import Pool
from cloakbench.models.mini.train.run import Run

CUDA_BATCH = 8
"""How many times as many pictures a step takes on a CUDA device."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """What a stage is given: its run, and where whole models go."""

    run: Run
    weights: Path

    @property
    def folder(self) -> Path:
        """The folder of all stages' half-precision weights."""
        return self.run.weights.parent

    def pool(self, teacher_name: str, known_only: bool = False) -> Pool:
        """Returns the drawn pictures with one teacher's latents, once the first are there."""
        return Pool(self.run.work / "pool", teacher_name, known_only).wait()

    def teacher(self, name: str) -> distil.Encode:
        """Returns a teacher's encoder."""
        return distil.teacher_encoder(teacher.load(name, self.run.device), self.run.casting)

    def student(self, suffix: str) -> distil.Encode:
        """Returns the encoder that an earlier stage has trained; raises `FileNotFoundError` where none has."""
        student = distil.LatentEncoder(assemble.autoencoder(self.folder, suffix)).to(self.run.device)
        return distil.student_encoder(student, self.run.casting)

    def sized(self, recipe: Recipe) -> Recipe:
        """Returns the recipe with the device's batch."""
        return replace(recipe, batch=recipe.batch * CUDA_BATCH) if self.run.device == "cuda" else recipe

    def words(self) -> tuple[Path, CLIPTokenizer]:
        """Returns the folder of the tokenizer that all models share, and the tokenizer."""
        folder = self.run.work / "tokenizer"
        tokenizer.write(folder, tokenizer.words_to_learn(styles.learnable_names(), list(scenes.SUBJECTS)))
        return folder, tokenizer.load(folder)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: its function, and the teacher whose latents the drawn pictures need (empty: it draws its own)."""

    train: Callable[[StageContext], object]
    teacher: str = ""


def _encoder(teacher_name: str, suffix: str, whole: bool) -> Callable[[StageContext], object]:
    def train(context: StageContext) -> object:
        recipe = distil.WHOLE if whole else distil.RECIPE
        torch.manual_seed(recipe.seed)
        vae = architecture.vae(architecture.SDXL_SCALE if suffix else architecture.SD_SCALE)
        context.run.origin = assemble.newest(context.folder, f"encoder{suffix}") if whole else None
        model = teacher.load(teacher_name, context.run.device)
        pool, side = context.pool(teacher_name), 128 if whole else 64
        return distil.train_encoder(vae, model, pool, context.run, context.sized(recipe), side)

    return train


def _decoder(teacher_name: str, suffix: str, whole: bool) -> Callable[[StageContext], object]:
    def train(context: StageContext) -> object:
        recipe = decoder.WHOLE if whole else decoder.RECIPE
        torch.manual_seed(recipe.seed)
        vae = architecture.vae(architecture.SDXL_SCALE if suffix else architecture.SD_SCALE)
        context.run.origin = assemble.newest(context.folder, f"decoder{suffix}") if whole else None
        encoders = [context.teacher(teacher_name)]
        if whole:
            encoders.append(context.student(suffix))
        pool, side = context.pool(teacher_name), 128 if whole else 64
        return decoder.train_decoder(vae, encoders, pool, context.run, context.sized(recipe), side)

    return train


def _decoder_b(context: StageContext) -> object:
    context.run.origin = assemble.newest(context.folder, *assemble.decoders(""))
    encoders, recipe = [context.teacher("taesd")], context.sized(decoder.CONTINUED)
    return decoder.train_decoder(architecture.vae(), encoders, context.pool("taesd"), context.run, recipe)


def _base(base: Base, teacher_name: str) -> Callable[[StageContext], object]:
    def train(context: StageContext) -> object:
        recipe = denoiser.RECIPES[base.name]
        torch.manual_seed(recipe.seed)
        _, learned = context.words()
        model = (denoiser.ModelXL if base is MINI_XL else denoiser.Model)(base, len(learned))
        pool = context.pool(teacher_name, known_only=True)
        return denoiser.train_base(base, model, learned, pool, context.run, context.sized(recipe))

    return train


def _purifier(context: StageContext) -> object:
    torch.manual_seed(purifier.RECIPE.seed)
    recipe, schedule = context.sized(purifier.RECIPE), architecture.purifier_scheduler()
    return purifier.train_purifier(architecture.purifier(), schedule, context.pool("taesd"), context.run, recipe)


def _export(context: StageContext) -> None:
    export.everything(context.folder, context.words()[0], context.weights)
    export.purifier(context.folder, context.weights)


def _pictures(context: StageContext) -> data.Pictures:
    return data.joined(data.training(context.run.work), data.held_out(context.run.work))


def _mini_lpips(context: StageContext) -> None:
    export.distance(perceptual.train_distance(_pictures(context), context.run), context.weights)


def _mini_clip(context: StageContext) -> None:
    vae, everything = assemble.autoencoder(context.folder), _pictures(context)
    folder, learned = context.words()
    pictures = judge.with_reconstructions(vae, everything, context.run.work / "reconstructed.npy")
    export.judge(judge.train_judge(pictures, folder, len(learned), context.run), everything, folder, context.weights)


def _viewer(context: StageContext) -> None:
    _export(context)
    models = [context.weights / "mini-a"]
    material = viewer_material.gather(context.pool("taesd", known_only=False), models, context.run.work / "mimics")
    viewer.write(viewer.train_viewer(material, context.run), context.weights / "mini-viewer.safetensors")


def _vae_c(context: StageContext) -> None:
    export.autoencoder(independent.train_vae(_pictures(context), context.run), context.weights / "mini-vae-c")


STAGES: dict[str, Stage] = {
    "encoder": Stage(_encoder("taesd", "", whole=False), "taesd"),
    "encoder-whole": Stage(_encoder("taesd", "", whole=True), "taesd"),
    "decoder": Stage(_decoder("taesd", "", whole=False), "taesd"),
    "decoder-whole": Stage(_decoder("taesd", "", whole=True), "taesd"),
    "mini-a": Stage(_base(MINI_A, "taesd"), "taesd"),
    "decoder-b": Stage(_decoder_b, "taesd"),
    "mini-b": Stage(_base(MINI_B, "taesd"), "taesd"),
    "encoder-xl": Stage(_encoder("taesdxl", "-xl", whole=False), "taesdxl"),
    "encoder-xl-whole": Stage(_encoder("taesdxl", "-xl", whole=True), "taesdxl"),
    "decoder-xl": Stage(_decoder("taesdxl", "-xl", whole=False), "taesdxl"),
    "decoder-xl-whole": Stage(_decoder("taesdxl", "-xl", whole=True), "taesdxl"),
    "mini-xl": Stage(_base(MINI_XL, "taesdxl"), "taesdxl"),
    "purifier": Stage(_purifier, "taesd"),
    "mini-lpips": Stage(_mini_lpips),
    "mini-clip": Stage(_mini_clip),
    "vae-c": Stage(_vae_c),
    "mini-viewer": Stage(_viewer, "taesd"),
    "export": Stage(_export),
}
