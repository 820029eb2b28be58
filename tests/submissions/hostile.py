"""A submission that misbehaves in the way its first caption names; written to disk as an installed distribution."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import roots

SOURCE = """
import ctypes, fcntl, gc, json, os, random, socket, struct, subprocess, sys, time
from pathlib import Path

import numpy as np
import torch

from cloakbench import Protection


def fine(images, request):
    return images


def sleeps(images, request):
    time.sleep(600)


def spins(images, request):
    while True:
        pass


def storms(images, request):
    for _ in range(40):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    time.sleep(600)


def hogs(images, request):
    kept = []
    for _ in range(64):
        kept.append(np.ones(32 << 20, dtype=np.uint8))
        time.sleep(0.05)
    time.sleep(600)


def segfaults(images, request):
    ctypes.string_at(0)


def exits(images, request):
    os._exit(0)


def quits(images, request):
    sys.exit(3)


def writes_store(images, request):
    Path(os.environ.get("PLACE") or request.captions[1], "stolen").write_text("x")
    return images


def reads_store(images, request):
    Path(request.captions[1], "secret").read_text()
    return images


def connects(images, request):
    with socket.create_connection(("127.0.0.1", int(request.captions[1])), timeout=2):
        return images


def patches(images, request):
    import cloakbench.submissions.guard as guard

    torch.Tensor.clamp = lambda self, *a, **k: self
    guard._check = lambda *a: None
    return torch.ones_like(images)


def grows(images, request):
    return torch.zeros(len(images), 3, 512, 512)


def wrong_dtype(images, request):
    return (images * 255).to(torch.uint8)


def nan(images, request):
    return images * float("nan")


def not_a_tensor(images, request):
    return "images"


def prints(images, request):
    for _ in range(20):
        os.write(1, b"x" * (1 << 20))
    return images


def leaves_children(images, request):
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    return images


def lone_surrogate(images, request):
    raise RuntimeError("lone \\ud800 here")


def forges(images, request):
    # Answers in place of its worker that the user has made a mistake, which would end a run.
    [order] = [thing for thing in gc.get_objects() if type(thing).__name__ == "Protect"]
    fault = {"kind": "user", "message": "m", "hint": "h", "traceback": ""}
    body = json.dumps({"number": order.number, "kind": "fault", "fault": fault}).encode()
    for descriptor in range(3, 64):
        try:
            if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                os.write(descriptor, struct.pack(">I", len(body)) + body)
        except OSError:
            pass
    os._exit(0)


def free(images, request):
    # Works for a while, then answers in place of its worker that it took no time.
    end = time.process_time() + 1.0
    while time.process_time() < end:
        pass
    [order] = [thing for thing in gc.get_objects() if type(thing).__name__ == "Protect"]
    body = json.dumps({"number": order.number, "kind": "images", "busy_s": 0.0, "peak_bytes": 0}).encode()
    pixels = bytes([120]) * sum(height * width * channels for height, width, channels in order.shapes)
    for descriptor in range(3, 64):
        try:
            if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY:
                os.write(descriptor, struct.pack(">I", len(body)) + body + pixels)
        except OSError:
            pass
    time.sleep(600)


def seeds(images, request):
    random.seed(0), np.random.seed(0), torch.manual_seed(0), torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    return images


class Hostile(Protection):
    title = '<script>alert("x")</script>'
    licence = "none"

    def __init__(self, *, deed: str = ""):
        self.deed = deed

    def protect(self, images, request):
        return globals()[self.deed or request.captions[0]](images, request)
"""


def install(folder: Path, name: str = "hostile", source: str = SOURCE, group: str = "cloakbench.protections") -> None:
    """Writes the distribution into a folder that a search path can name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}_module.py").write_text(source)
    facts = folder / f"{name}-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}_module:Hostile\n")
    (facts / "RECORD").write_text(f"{name}_module.py,,\n")


@contextlib.contextmanager
def installed(folder: Path, weights: Path) -> Iterator[None]:
    """Lets this process and its children see the packages in `folder/site`, small models, and a cache of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder / "site"))
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder / "site"), roots.PYTHONPATH]))
        patch.setenv("CLOAKBENCH_MODELS", str(weights))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield
