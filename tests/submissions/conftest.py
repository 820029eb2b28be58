from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from cloakbench.contract import Surrogate
from cloakbench.submissions.guard import Call


class FakeDistribution(Distribution):
    """An installed distribution whose metadata are texts and whose files lie in a folder."""

    def __init__(self, texts: Mapping[str, str], root: Path) -> None:
        self.texts, self.root = dict(texts), root

    def read_text(self, filename: str) -> str | None:
        return self.texts.get(filename)

    def locate_file(self, path: object) -> Path:
        return self.root / str(path)


class Environment:
    """Installs fake distributions; calling it yields them, as a provider does."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: list[Distribution] = []

    def __call__(self) -> Iterable[Distribution]:
        return list(self.found)

    def install(
        self,
        name: str,
        entries: Mapping[str, str],
        files: Mapping[str, str] | None = None,
        *,
        editable: bool = False,
        version: str = "1.0",
    ) -> FakeDistribution:
        root = self.root / name
        for path, text in (files or {}).items():
            target_path = root / path
            target_path.parent.mkdir(parents=True, exist_ok=True)
            target_path.write_text(text)
        lines = "\n".join(f"{key} = {value}" for key, value in entries.items())
        texts = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: What {name} does\n",
            "entry_points.txt": f"[cloakbench.protections]\n{lines}\n",
        }
        if editable:
            texts["direct_url.json"] = json.dumps({"url": root.as_uri(), "dir_info": {"editable": True}})
        else:
            texts["RECORD"] = "".join(
                f"{path},,\n" for path in [*(files or {}), f"{name}-{version}.dist-info/METADATA"]
            )
        distribution = FakeDistribution(texts, root)
        self.found.append(distribution)
        return distribution


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path)


@pytest.fixture
def importable(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Installs a distribution with one module that can be imported, and forgets the module afterwards."""

    def make(name: str, module: str, source: str, entries: Mapping[str, str]) -> None:
        environment.install(name, entries, {f"{module}.py": source})
        monkeypatch.syspath_prepend(str(environment.root / name))
        monkeypatch.delitem(sys.modules, module, raising=False)

    before = set(sys.modules)
    yield make
    for module in set(sys.modules) - before:
        if module.startswith("plugin_"):
            del sys.modules[module]


@pytest.fixture
def surrogate() -> Surrogate:
    nothing = SimpleNamespace()
    return Surrogate(
        name="none",
        vae=nothing,
        unet=nothing,
        text_encoder=nothing,
        tokenizer=nothing,
        scheduler=nothing,
        perceptual=lambda x, y: (x - y).abs().mean((1, 2, 3)),
        device=torch.device("cpu"),
        dtype=torch.float32,
    )


@pytest.fixture
def call(surrogate: Surrogate) -> Callable[..., Call]:
    def make(count: int, strength: float = 0.5, budget_255: int = 16, seed: int = 3) -> Call:
        captions = [f"painting {i}" for i in range(count)]
        return Call(
            strength=strength,
            budget_255=budget_255,
            surrogate=surrogate,
            seed=seed,
            class_word="painting",
            captions=captions,
        )

    return make
