"""How a worker is confined: its first order, and what stands before its command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import cloakbench
from cloakbench.submissions.sandbox import bubblewrap, launcher, messages, visible


def start_order(
    box: Path, shown: Sequence[Path], hidden: Sequence[Path], threads: int, file_bytes: int
) -> messages.Start:
    """Returns the first order, by which a worker confines itself as far as bubblewrap does not.

    Args:
        box: The worker's own folder, as the worker sees it.
        shown: What it may read.
        hidden: Folders that it may not read, though they lie in readable ones.
        threads: How many it computes with.
        file_bytes: Largest file that it may write.
    """
    is_walled = bubblewrap.kind() == "bubblewrap"
    readable = () if is_walled else (*shown, *visible.KERNEL)
    return messages.Start(
        threads=threads,
        hidden=list(map(str, hidden)),
        readable=list(map(str, readable)),
        writable=list(map(str, visible.writable(box, is_walled))),
        file_bytes=file_bytes,
        confines_itself=not is_walled,
        local_sockets=is_walled or bool(visible.devices()),
    )


def wall(start: messages.Start, shown: Sequence[Path], is_own: bool) -> list[str]:
    """Returns what stands before the worker's command: bubblewrap's part, or the launcher's, or nothing.

    Args:
        start: The first order.
        shown: What the worker may read.
        is_own: Whether the worker has a virtual environment of its own, which a stranger has filled.
    """
    if not start.confines_itself:
        return bubblewrap.wall(shown, list(map(Path, start.hidden)), start.file_bytes)
    if not is_own:
        return []
    listed = Path(cloakbench.__file__).absolute().parents[1]  # Python lists a folder in which it looks for a package
    return [sys.executable, "-I", "-S", str(launcher.FILE), start.model_dump_json(), str(listed)]
