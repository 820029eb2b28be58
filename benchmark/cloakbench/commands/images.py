"""Verbs for a user's own images: protect, clean, mimic."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cloakbench import progress
from cloakbench.attacks.catalogue import chain, find
from cloakbench.commands.options import Flag, Many
from cloakbench.commands.terminal import print_rows, refuse_unknown
from cloakbench.errors import UserError


def protect(
    name: str,
    *,
    in_: Annotated[Path, Parameter(name="--in")],
    out: Path,
    strength: float = 1.0,
    model: str = "mini-a",
    budget: int = 16,
    class_word: str = "painting",
    json: Flag = False,
) -> int:
    """Protects your own images, of any size, and saves them as PNG.

    Args:
        name: The protection, such as `photoguard` or `photoguard[steps=200]`.
        in_: Folder of images.
        out: Folder for the protected PNGs; files that this verb did not write are never replaced.
        strength: Share of the budget that is used, in (0, 1].
        model: Model alias (or folder in diffusers layout) whose gradients the protection uses.
        budget: Largest change of a pixel, in levels of 255, at strength 1.
        class_word: One noun for what the images show, such as `painting`.
        json: Print a list of objects with file and measured change.
    """
    refuse_unknown([name])
    _refuse_missing(in_)
    progress.say(f"protecting the images of {in_} with {name}; loading the libraries takes some seconds")
    from cloakbench.folders.protect import ProtectOptions, protect_folder

    options = ProtectOptions(strength=strength, budget_255=budget, model=model, class_word=class_word)
    print_rows(protect_folder(name, in_, out, options), json)
    return 0


def clean(
    name: str,
    *,
    in_: Annotated[Path, Parameter(name="--in")],
    out: Path,
    suite: str | None = None,
    model: str | None = None,
    json: Flag = False,
) -> int:
    """Cleans your own images, of any size, as an attacker would, and saves them as PNG.

    Args:
        name: The countermeasure, such as `jpeg`, or a chain such as `noise+impress`.
        in_: Folder of images.
        out: Folder for the cleaned PNGs.
        suite: Suite whose settings are used, or path to a TOML file; `mini` by default, `folder-sd` with a --model of
            Stable Diffusion.
        model: Model alias (or folder in diffusers layout) instead of the one that the suite names for it.
        json: Print a list of objects with file and measured change.
    """
    chain(name)
    _refuse_missing(in_)
    progress.say(f"cleaning the images of {in_} by {name}; loading the libraries takes some seconds")
    from cloakbench.folders.clean import clean_folder

    print_rows(clean_folder(name, in_, out, suite, model), json)
    return 0


def mimic(
    name: str,
    *,
    in_: Annotated[Path, Parameter(name="--in")],
    out: Path,
    prompt: Many,
    suite: str | None = None,
    model: str | None = None,
    count: int = 4,
    seed: int = 0,
    json: Flag = False,
) -> int:
    """Fine-tunes a model on your own images, as a mimic would, and saves what it generates.

    Args:
        name: The mimicry, such as `dreambooth` or `lora`.
        in_: Folder of images; the model is trained on their central squares.
        out: Folder for the generated PNGs.
        prompt: What to generate, such as `a painting of a boat in the style of {token}`.
        suite: Suite whose settings are used, or path to a TOML file; `mini` by default, `folder-sd` with a --model of
            Stable Diffusion.
        model: Model alias (or folder in diffusers layout) to fine-tune; by default the suite's surrogate.
        count: Images per prompt.
        seed: Seed of the training and of the images.
        json: Print a list of objects with file and prompt.
    """
    find("mimicry", name)
    _refuse_missing(in_)
    progress.say(f"learning the images of {in_} by {name}; loading the libraries takes some seconds")
    from cloakbench.folders.mimic import MimicOptions, mimic_folder

    options = MimicOptions(suite=suite, model=model, count=count, seed=seed)
    print_rows(mimic_folder(name, in_, out, prompt, options), json)
    return 0


def _refuse_missing(folder: Path) -> None:
    """Raises UserError where there is no such folder, before the models' libraries are loaded."""
    if not folder.is_dir():
        raise UserError(f"expected a folder of images, got {folder}", "Give the path of an existing folder.")
