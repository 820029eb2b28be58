from __future__ import annotations

import platform

import pytest

from cloakbench.system import cpu


@pytest.fixture
def x86(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")


def processor(tmp_path, flags):
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor : 0\nmodel name : avx512f in a name\nflags : fpu {flags}\n")
    return path


def test_wide_processors_are_held_to_avx2(tmp_path, x86):
    environment = {}
    cpu.settle(environment, processor(tmp_path, "avx2 avx512f"))
    assert environment == cpu.VARIABLES


@pytest.mark.parametrize("flags", ["avx2", "sse2"])
def test_others_are_left_alone(tmp_path, x86, flags):
    environment = {}
    cpu.settle(environment, processor(tmp_path, flags))
    assert environment == {}


def test_what_the_user_has_set_stays(tmp_path, x86):
    environment = {"ATEN_CPU_CAPABILITY": "default"}
    cpu.settle(environment, processor(tmp_path, "avx512f"))
    assert environment == {"ATEN_CPU_CAPABILITY": "default"}


def test_other_architectures_and_systems_are_left_alone(tmp_path, monkeypatch):
    environment = {}
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    cpu.settle(environment, processor(tmp_path, "avx512f"))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    cpu.settle(environment, tmp_path / "absent")
    assert environment == {}


def test_torch_computes_with_what_was_settled(python):
    """Read when torch first asks the processor, so settling late would be without effect."""
    lines = "import os; os.environ['ATEN_CPU_CAPABILITY'] = 'default'; import torch; "
    assert python(f"{lines}print(torch.backends.cpu.get_cpu_capability())").strip().upper() in {"DEFAULT", "NO AVX"}
