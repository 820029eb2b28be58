"""The process that runs one submission: orders come in as lines of JSON, images are exchanged as PNGs in its folder.

Started by `cloakbench.submissions.sandbox.client`. It knows no attack, no seed of one, no other entry and no store.
What it answers is taken for a claim: the harness looks at the PNGs itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from cloakbench.errors import BenchmarkError
from cloakbench.submissions.sandbox.audit import AuditHook


def main() -> None:
    """Answers orders until they end; the only argument is the file descriptor to answer on."""
    with os.fdopen(int(sys.argv[1]), "w") as answers, os.fdopen(os.dup(0)) as orders:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # what a submission reads from its input is empty
        worker = SubmissionHost()
        for line in orders:
            order: dict[str, Any] = json.loads(line)
            before = time.process_time()
            answer = _answered(worker, order)
            cost = {"busy_s": time.process_time() - before, "peak_bytes": worker.peak_bytes()}
            answers.write(json.dumps({**answer, "attempts": worker.attempts(), **cost}) + "\n")
            answers.flush()


def _answered(worker: SubmissionHost, order: dict[str, Any]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = getattr(worker, order.pop("do"))(**order)
        return {"found": found}
    except BenchmarkError as error:
        status = str(getattr(error, "status", ""))
        trace = getattr(error, "traceback", "")
        fault = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
        return {"fault": {**fault, "status": status, "traceback": trace}}
    except Exception as error:
        fault = {"kind": "Exception", "message": f"{type(error).__name__}: {error}", "hint": ""}
        return {"fault": {**fault, "status": "", "traceback": traceback.format_exc()}}


class SubmissionHost:
    """Holds the one protection of this process."""

    def __init__(self) -> None:
        self._fence: AuditHook | None = None
        self._instance: Any = None

    def attempts(self) -> list[str]:
        """Returns what the submission tried and was refused."""
        return list(self._fence.attempts) if self._fence else []

    def peak_bytes(self) -> int:
        """Returns the most memory that the process has had."""
        from cloakbench.system import peak

        with self._fence.lowered() if self._fence else nullcontext():
            return peak.most_bytes()

    def load(self, spelling: str, threads: int, hidden: list[str]) -> dict[str, Any]:
        """Imports and builds the protection; returns what it says about itself."""
        import torch

        from cloakbench import submissions
        from cloakbench.submissions import guard  # noqa: F401 - before the fence, as all that is ours

        torch.set_num_threads(threads)
        self._fence = AuditHook([Path.cwd()], [Path(folder) for folder in hidden])
        self._fence.raise_up()
        loaded = submissions.load(spelling)
        self._instance = loaded.instance
        return loaded.claims().model_dump()

    def protect(self, folder: str, model: dict[str, str] | None, call: dict[str, Any]) -> dict[str, Any]:
        """Reads `folder/in`, protects, writes `folder/out`; raises SubmissionFault."""
        from cloakbench import image_files
        from cloakbench.submissions import guard

        originals = list(image_files.read_folder(Path(folder, "in")).values())
        with self._fence.lowered() if self._fence else nullcontext():
            surrogate = _surrogate(model)
        done = guard.run(self._instance, originals, guard.Call(surrogate=surrogate, **call))
        out = Path(folder, "out")
        out.mkdir(exist_ok=True)
        for number, png in enumerate(done.pngs):
            (out / f"{number:04d}.png").write_bytes(png)
        return {}


def _surrogate(model: dict[str, str] | None) -> Any:
    import torch

    from cloakbench.contract import Surrogate

    if model is None:
        return Surrogate("none", None, None, None, None, None, _none, torch.device("cpu"), torch.float32)
    from cloakbench.metrics import perceptual
    from cloakbench.models import loader

    base = loader.load(model["alias"], model["device"], getattr(torch, model["dtype"]))
    return base.surrogate(perceptual.distance(model["perceptual"], model["device"]))


def _none(_x: Any, _y: Any) -> Any:
    raise RuntimeError("expected a surrogate, this call has none")


if __name__ == "__main__":
    main()
