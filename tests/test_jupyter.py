"""A run that starts in the kernel of a notebook: its processes compute with the instruction set of the kernel."""

from __future__ import annotations

import os

import pytest
import tiny

from cloakbench.system import cpu
from tests import roots

pytest.importorskip("ipykernel", reason="kernels of notebooks need `pip install ipykernel`")

PATIENCE_S = 300
CELLS = [
    "import torch; print(torch.backends.cpu.get_cpu_capability())",
    "import cloakbench; done = cloakbench.run('tiny.toml', ['placebo'], store='store', limit=1, workers=2)",
    "from cloakbench.store.store import Store; store = Store(done.store)",
    "for path in store.records():\n"
    "    record = store.read_record(path.parent.name, path.stem)\n"
    "    print(record.status, record.environment.device.split()[-1])",
]
"""Torch comes first, so that importing cloakbench no longer chooses the instruction set; two workers are processes."""


@pytest.fixture
def kernel(weights, tmp_path, monkeypatch):
    """A client of a real kernel, which works in the test's folder and whose user has set no instruction set."""
    from jupyter_client.manager import start_new_kernel

    (tmp_path / "tiny.toml").write_text(tiny.TEXT)
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    environment = {name: value for name, value in os.environ.items() if name not in cpu.VARIABLES}
    places = {"CLOAKBENCH_MODELS": str(weights), "PYTHONPATH": roots.PYTHONPATH}
    manager, client = start_new_kernel(kernel_name="python3", env={**environment, **places}, cwd=str(tmp_path))
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def printed(kernel, code):
    """Executes a cell and returns the words that it printed; fails with the cell's traceback."""
    texts = []

    def listen(message):
        if message["msg_type"] == "stream" and message["content"]["name"] == "stdout":
            texts.append(message["content"]["text"])

    reply = kernel.execute_interactive(code, timeout=PATIENCE_S, output_hook=listen)
    assert reply["content"]["status"] == "ok", reply["content"]["traceback"]
    return "".join(texts).split()


def test_the_processes_of_a_run_compute_with_the_instruction_set_of_the_kernel(kernel):
    [computes], _, _, records = [printed(kernel, cell) for cell in CELLS]
    assert records == ["ok", computes]
