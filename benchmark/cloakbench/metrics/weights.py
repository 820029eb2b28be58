"""Weight files that metrics need: where they are, where they come from, and what a run does without them. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from cloakbench.errors import UserError
from cloakbench.metrics import catalogue
from cloakbench.models import hub, registry

PACKAGE = "package"
"""The folder of embedded weights."""
FULL_DIGEST = 64
"""Hexadecimal digits of a whole SHA-256."""
State = Literal["ok", "repacked", "unverified", "missing", "wrong"]


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One file of weights, under the name that the libraries look for."""

    name: str
    folder: str
    """`PACKAGE`, or a folder of torch's hub directory."""
    licence: str
    origin: str
    """Who trained or published it."""
    url: str = ""
    """Empty for what the package ships."""
    sha256: str = ""
    """The whole digest, or only the first digits of it that the file's name has, or empty where unknown."""

    @property
    def path(self) -> Path:
        """Path of the file, whether it exists or not."""
        return registry.weights(self.name) if self.folder == PACKAGE else torch_hub() / self.folder / self.name

    @property
    def is_here(self) -> bool:
        """Whether there is a file of this name."""
        return self.path.exists()


def _torchvision(name: str, sha256: str) -> WeightFile:
    url = f"https://download.pytorch.org/models/{name}"
    return WeightFile(name, "checkpoints", "BSD-3-Clause", "torchvision, IMAGENET1K_V1", url, sha256)


def _pyiqa(name: str, licence: str, origin: str, sha256: str = "") -> WeightFile:
    url = f"https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/{name}"
    return WeightFile(name, "pyiqa", licence, origin, url, sha256)


def _openai(name: str, sha256: str) -> WeightFile:
    """Returns a CLIP: the digest is part of the address that OpenAI gives."""
    url = f"https://openaipublic.azureedge.net/clip/models/{sha256}/{name}"
    return WeightFile(name, "clip", "MIT", "OpenAI, CLIP", url, sha256)


KEYED_ALONE = frozenset({"mini-lpips.safetensors", "mini-clip"})
"""Embedded weights whose digests every recipe of measures names anyway, whatever its metrics."""
FILES: tuple[WeightFile, ...] = (
    WeightFile("mini-lpips.safetensors", PACKAGE, "Apache-2.0", "this project"),
    WeightFile("mini-clip", PACKAGE, "Apache-2.0", "this project"),
    WeightFile("mini-viewer.safetensors", PACKAGE, "Apache-2.0", "this project"),
    _torchvision("alexnet-owt-7be5be79.pth", "7be5be79"),
    _torchvision("vgg16-397923af.pth", "397923af"),
    _pyiqa(
        "LPIPS_v0.1_alex-df73285e.pth",
        "BSD-2-Clause",
        "Zhang et al. 2018, heads v0.1",
        "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
    ),
    _pyiqa(
        "LPIPS_v0.1_vgg-a78928a0.pth",
        "BSD-2-Clause",
        "Zhang et al. 2018, heads v0.1",
        "a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    ),
    _pyiqa(
        "DISTS_weights-f5e65c96.pth",
        "MIT",
        "Ding et al. 2020, alpha and beta",
        "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
    ),
    _pyiqa("PieAPPv0.1-0937b014.pth", "not verified", "Prashnani et al. 2018, v0.1", "0937b014"),
    _pyiqa(
        "cfanet_fr_kadid_res50-2c4cc61d.pth",
        "PolyForm-Noncommercial-1.0.0 (pyiqa)",
        "Chen et al. 2024, on KADID-10k",
        "2c4cc61d",
    ),
    _pyiqa("niqe_modelparameters.mat", "LIVE, for research", "Mittal et al. 2013, their parameters"),
    _pyiqa("brisque_svm_weights.pth", "LIVE, for research", "Mittal et al. 2012, their support vectors"),
    WeightFile(
        "inception-2015-12-05.pt",
        "cleanfid",
        "Apache-2.0; NVIDIA's file",
        "Inception-v3 of 2015 as TorchScript, by NVIDIA",
        "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    ),
    _openai("RN50.pt", "afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762"),
    _openai("ViT-B-32.pt", "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"),
    _openai("ViT-L-14-336px.pt", "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"),
)
"""Every file that a metric's facts name."""


def torch_hub() -> Path:
    """Returns torch's hub directory, as `torch.hub` finds it: `$TORCH_HOME/hub`, else in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("TORCH_HOME") or f"{cache}/torch").expanduser() / "hub"


def find(name: str) -> WeightFile:
    """Returns the facts of a weight file; raises KeyError for a name that no metric uses."""
    for file in FILES:
        if file.name == name:
            return file
    raise KeyError(name)


def needed(metric: str) -> list[WeightFile]:
    """Returns the files that a metric needs; raises UserError for an unknown metric."""
    return [find(name) for name in catalogue.find(metric).weights]


def missing(metric: str) -> str:
    """Returns why a metric cannot be computed, empty where it can; nothing is downloaded."""
    absent = []
    for file in needed(metric):
        if not file.is_here:
            absent.append(f"{file.name} (expected in {_folder_name(file)})")
    return f"weights missing: {', '.join(absent)}" if absent else ""


def _folder_name(file: WeightFile) -> str:
    """Returns a file's folder without the parts that differ from machine to machine."""
    return "the package" if file.folder == PACKAGE else f"$TORCH_HOME/hub/{file.folder}"


def state(file: WeightFile) -> State:
    """Returns what is known about a file here.

    `repacked`: not the upstream file whose name it has, by the digits in that name; `unverified`: no digest is known.
    """
    if not file.is_here:
        return "missing"
    if file.folder == PACKAGE:
        return "ok"
    if not file.sha256:
        return "unverified"
    if registry.file_digest(file.path).startswith(file.sha256):
        return "ok"
    return "wrong" if len(file.sha256) == FULL_DIGEST else "repacked"


def obtain(metric: str) -> str:
    """Downloads what a metric lacks, once and checked by digest; returns why it cannot be computed, or nothing.

    With `HF_HUB_OFFLINE=1` nothing is downloaded. A file that is not the published one counts as missing.
    """
    for file in needed(metric):
        if not file.is_here and file.url and not hub.is_offline():
            try:
                _download(file)
            except (OSError, ValueError) as error:
                return f"weights missing: {file.name} could not be downloaded: {str(error).splitlines()[0]}"
        if state(file) == "wrong":
            return f"weights damaged: {file.name} in {_folder_name(file)} is not the published file of that name"
    return missing(metric)


def _download(file: WeightFile) -> None:
    """Downloads a file; raises OSError or ValueError, and leaves nothing, where it fails or is another file."""
    import pooch

    pooch.get_logger().setLevel("ERROR")  # it logs every download, in the middle of a run's progress
    digest = f"sha256:{file.sha256}" if len(file.sha256) == FULL_DIGEST else None
    pooch.retrieve(file.url, digest, fname=file.name, path=file.path.parent)
    actual = registry.file_digest(file.path)
    if not actual.startswith(file.sha256):
        file.path.unlink()
        raise ValueError(f"expected SHA-256 {file.sha256}..., got {actual}")


class UsableMetrics(NamedTuple):
    """Metrics that can be computed here, and for the others why they cannot."""

    usable: frozenset[str]
    skipped: dict[str, str]


def find_usable(metrics: Iterable[str]) -> UsableMetrics:
    """Returns which of the named metrics can be computed here; an unofficial run calls it once, before it starts."""
    usable, skipped = set(), {}
    for name in metrics:
        if reason := obtain(name):
            skipped[name] = reason
        else:
            usable.add(name)
    return UsableMetrics(frozenset(usable), skipped)


def require(metrics: Sequence[str]) -> None:
    """Raises UserError where a named metric cannot be computed here; an official run calls it before it starts."""
    skipped = find_usable(metrics).skipped
    if skipped:
        listed = "; ".join(f"{name}: {reason}" for name, reason in sorted(skipped.items()))
        raise UserError(f"expected the weights of every metric, got none for {listed}", how_to_get())


def how_to_get() -> str:
    """Returns in words how to bring weight files here."""
    offline = "unset HF_HUB_OFFLINE, " if hub.is_offline() else ""
    return (
        f"To download them, {offline}connect to the network and run again, or set TORCH_HOME to a folder that has them."
    )


def digests(metrics: Iterable[str]) -> dict[str, str]:
    """Returns for each file that the metrics need, those of `KEYED_ALONE` aside, the digest that identifies it in keys.

    It is the published one where the file is that or is not here yet, so that a download changes no key.
    """
    identities: dict[str, str] = {}
    for metric in metrics:
        for file in needed(metric):
            if file.name not in KEYED_ALONE and file.name not in identities:
                identities[file.name] = _identity(file)
    return dict(sorted(identities.items()))


def _identity(file: WeightFile) -> str:
    actual = registry.file_digest(file.path) if file.is_here else ""
    is_published = bool(file.sha256) and actual.startswith(file.sha256)
    return file.sha256 if is_published or not actual else actual
