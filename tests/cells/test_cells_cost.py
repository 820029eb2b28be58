"""What a stage costs: energy by a stand-in of NVML, and nothing where there is none."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch

from cloakbench.cells import calibration
from cloakbench.cells.cost import Meter
from cloakbench.schemas.record import StageCost
from cloakbench.system import energy

UUID = "12345678-aaaa-bbbb-cccc-1234567890ab"


class NVMLError(Exception):
    """As pynvml raises it."""


class Nvml:
    """Counts 1.5 J at every reading of the one device it knows."""

    NVMLError = NVMLError

    def __init__(self, has_counter=True):
        self.has_counter, self.read = has_counter, 0

    def nvmlInit(self): ...

    def nvmlDeviceGetHandleByUUID(self, uuid):
        if uuid != f"GPU-{UUID}":
            raise NVMLError(uuid)
        return "handle"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle):
        assert handle == "handle"
        if not self.has_counter:
            raise NVMLError("not supported")
        self.read += 1
        return 1500 * self.read


@pytest.fixture
def gpu(monkeypatch):
    """Makes PyTorch say that there is a GPU, and pynvml be what is given."""
    energy._device.cache_clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid=UUID))
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 7)
    yield lambda module: monkeypatch.setitem(sys.modules, "pynvml", module)
    energy._device.cache_clear()


def measured():
    meter = Meter()
    with meter.stage("generate"):
        pass
    return meter.costs["generate"]


def test_a_stage_on_a_gpu_has_the_energy_taken_meanwhile(gpu):
    gpu(Nvml())
    stage_cost = measured()
    assert (stage_cost.energy_j, stage_cost.peak_bytes, stage_cost.cached) == (1.5, 7, False)


@pytest.mark.parametrize("module", [None, Nvml(has_counter=False)])
def test_without_nvml_or_its_counter_there_is_none(gpu, module):
    gpu(module)  # None: the import fails
    assert measured().energy_j is None


def test_a_device_that_nvml_does_not_know_has_none(gpu, monkeypatch):
    gpu(Nvml())
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid="other"))
    assert measured().energy_j is None


def test_what_a_process_of_its_own_spent_counts_in_its_stage_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    meter = Meter()
    meter.add_process(90.0, 1 << 50)  # of a stage that is over
    with meter.stage("protect"):
        meter.add_process(2.0, 1 << 40)
        meter.add_process(1.0, 5)
    assert 3.0 <= meter.costs["protect"].device_s < 4.0
    assert meter.costs["protect"].peak_bytes == 1 << 40
    assert measured().device_s < 1.0


def test_a_cpu_has_none():
    assert measured().energy_j is None


def test_the_energy_of_a_search_is_that_of_its_tries():
    none = StageCost(wall_s=0, device_s=0, peak_bytes=0, cached=False)
    stage_cost = StageCost(wall_s=1, device_s=1, peak_bytes=5, cached=False, energy_j=2.5)
    assert calibration._sum(none, stage_cost).energy_j == 2.5
    assert calibration._sum(calibration._sum(none, stage_cost), stage_cost).energy_j == 5.0
    assert calibration._sum(none, none).energy_j is None
