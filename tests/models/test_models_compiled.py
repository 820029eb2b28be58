from __future__ import annotations

import torch

from cloakbench.models import compiled


def test_nothing_is_compiled_on_a_cpu_in_single_precision_or_without_a_compiler(monkeypatch):
    gpu, half = torch.device("cuda"), torch.bfloat16
    network = torch.nn.Linear(1, 1)
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(compiled.shutil, "which", lambda name: "/bin/cc" if name == "gcc" else None)
    assert compiled.is_possible(gpu, half)
    assert not compiled.is_possible(torch.device("cpu"), half)
    assert not compiled.is_possible(gpu, torch.float32)
    assert compiled.compiled(network, torch.device("cpu"), half) is network
    monkeypatch.setattr(compiled.shutil, "which", lambda _: None)
    assert not compiled.is_possible(gpu, half)
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda _: None)
    assert not compiled.is_possible(gpu, half)
