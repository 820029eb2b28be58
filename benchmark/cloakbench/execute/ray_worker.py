"""One worker on a Ray cluster: runs cells in a scratch store and sends back what it wrote.

Imports nothing that imports torch: the instruction set has to be chosen before.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloakbench.system import cpu, imports

if TYPE_CHECKING:
    from cloakbench.datasets.artists import Artist
    from cloakbench.execute.bundle import FileBundle
    from cloakbench.execute.job import CellRunner, Task
    from cloakbench.execute.progress import Outcome


class Actor:
    """Runs cells one after the other; models stay loaded, files are removed after each cell.

    An argument in a list is a Ray reference that this process resolves: the job once, each artist with its first cell.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        cpu.adopt(variables)
        imports.skip_unused()
        self._root = Path(tempfile.mkdtemp(prefix="cloakbench-"))
        self._runner: CellRunner | None = None
        self._artists: dict[str, Artist] = {}

    def open(self, job: Sequence[Any]) -> str | Exception:
        """Returns the name of this node, or the error that prevents running cells on it."""
        import ray

        try:
            self._runner = ray.get(job[0]).open(self._root)
        except Exception as error:
            return error
        return str(ray.get_runtime_context().get_node_id())

    def run(self, task: Task, artist: Sequence[Any], bundle: FileBundle) -> tuple[Outcome, FileBundle] | Exception:
        """Returns how a cell ended with all files that it wrote, or the error; `bundle` holds what it needs."""
        from cloakbench.execute.bundle import pack_new, unpack
        from cloakbench.store.store import Store

        assert self._runner is not None
        store = Store(self._root)
        try:
            unpack(bundle, store)
            outcome = self._runner.run(task, self._artist(task.artist, artist))
            return outcome, pack_new(store, bundle)
        except Exception as error:
            return error
        finally:
            for folder in self._root.iterdir():
                shutil.rmtree(folder, ignore_errors=True)

    def _artist(self, name: str, reference: Sequence[Any]) -> Artist:
        import ray

        if name not in self._artists:
            self._artists[name] = ray.get(reference[0])
        return self._artists[name]

    def close(self) -> None:
        """Stops the submission processes and removes the scratch store."""
        if self._runner is not None:
            self._runner.close()
        shutil.rmtree(self._root, ignore_errors=True)
