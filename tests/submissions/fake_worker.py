"""A worker that does what a hostile submission could: it speaks to the harness as its name says. Imports no library.

Arguments: the deed, a text for it as JSON, and the descriptors of orders, answers and reports.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

DEED, TEXT = sys.argv[1], json.loads(sys.argv[2])
ORDERS, ANSWERS, REPORT = map(int, sys.argv[3:6])
CLAIMS = {
    "budget": "linf", "needs": [], "title": "Fake", "paper": "", "licence": "", "deterministic": True, "control": None,
}  # fmt: skip


def supervise() -> None:
    """Does what the launcher does, but for every restriction."""
    import ctypes

    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    worker = os.fork()
    if worker == 0:
        os.write(REPORT, bytes(2))
        os.close(REPORT)
        return
    for descriptor in (0, 1, 2, ORDERS, ANSWERS):
        os.close(descriptor)
    while True:
        try:
            ended, status = os.wait()
        except ChildProcessError:
            os._exit(0)
        if ended == worker:
            os.write(REPORT, f"{os.waitstatus_to_exitcode(status)}\n".encode())


def read(count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = os.read(ORDERS, min(count - len(data), 1 << 20))
        if not part:
            sys.exit(0)
        data += part
    return data


def next_order() -> dict:
    return json.loads(read(struct.unpack(">I", read(4))[0]))


def read_images(order: dict) -> bytes:
    return b"".join(read(height * width * 3) for height, width, _ in order["shapes"])


def write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(ANSWERS, view) :]


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def answer(number: int, kind: str, **fields: object) -> bytes:
    return framed(json.dumps({"number": number, "kind": kind, **fields}).encode())


def fault(number: int, kind: str = "failed", message: str = "m", **fields: object) -> bytes:
    texts = {"kind": kind, "message": message, "hint": "h", "traceback": "", **fields}
    return answer(number, "fault", fault=texts)


def sleep() -> None:
    time.sleep(60)


def trickle(number: int, images: bytes) -> None:
    """One byte of an answer at a time, for ever."""
    write(struct.pack(">I", 1 << 17))
    while True:
        write(b"\0")
        time.sleep(0.02)


def trickle_images(number: int, images: bytes) -> None:
    write(answer(number, "images"))
    for value in images:
        write(bytes([value]))
        time.sleep(0.02)


def flood(number: int, images: bytes) -> None:
    while True:
        write(b"x" * (1 << 16))


def flood_and_hog(number: int, images: bytes) -> None:
    """Talks without a pause while its memory grows."""
    write(answer(number, "images"))
    kept = []
    while True:
        kept.append(b"\1" * (4 << 20))
        write(images[:1])
        time.sleep(0.01)


def flood_output(number: int, images: bytes) -> None:
    while True:
        os.write(1, b"y" * (1 << 16))


def announces_too_much(number: int, images: bytes) -> None:
    write(struct.pack(">I", 2**32 - 1) + b"x" * 1000)
    sleep()


def half_a_message(number: int, images: bytes) -> None:
    write(struct.pack(">I", 1000) + b"{")
    sleep()


def half_an_image(number: int, images: bytes) -> None:
    write(answer(number, "images") + images[:10])
    sleep()


def more_than_images(number: int, images: bytes) -> None:
    write(answer(number, "images") + images + answer(number + 1, "images") + images)


def answers_the_next(number: int, images: bytes) -> None:
    write(answer(number + 1, "images") + images)
    sleep()


def claims_again(number: int, images: bytes) -> None:
    write(answer(number, "claims", claims={**CLAIMS, "budget": "perceptual"}))
    sleep()


def ready_again(number: int, images: bytes) -> None:
    write(answer(number, "ready"))
    sleep()


def raw(number: int, images: bytes) -> None:
    """Any bytes as an answer; `NUMBER` stands for the order's number."""
    write(framed(TEXT.encode("latin-1").replace(b"NUMBER", str(number).encode())))
    sleep()


def fault_of(number: int, images: bytes) -> None:
    """Fields of a fault as JSON."""
    write(fault(number, **json.loads(TEXT)))


def long_fault(number: int, images: bytes) -> None:
    write(fault(number, message="m" * 200_000))
    sleep()


def huge_fault(number: int, images: bytes) -> None:
    write(fault(number, message="m" * 20_000_000))
    sleep()


def many_attempts(number: int, images: bytes) -> None:
    write(answer(number, "images", attempts=["\x1b[31m<script>"] * 5000) + images)
    sleep()


def recoloured(number: int, images: bytes) -> None:
    write(answer(number, "images") + bytes((value + 100) % 256 for value in images))


def closes_answers(number: int, images: bytes) -> None:
    os.close(ANSWERS)
    sleep()


def stops_itself(number: int, images: bytes) -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def kills_its_parent(number: int, images: bytes) -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    sleep()


def forges_its_exit_code(number: int, images: bytes) -> None:
    """Writes no number where its supervisor reports how it ended."""
    folder = Path(f"/proc/{os.getppid()}/fd")
    for entry in folder.iterdir():
        with contextlib.suppress(OSError):
            descriptor = os.open(entry, os.O_WRONLY | os.O_NONBLOCK)
            os.write(descriptor, b"no number")
    sleep()


def fork_bomb(number: int, images: bytes) -> None:
    """At most 300 processes that leave their session and have a child of their own, as fast as they can be started."""
    for _ in range(300):
        if os.fork() == 0:
            os.setsid()
            os.fork()
            sleep()
    sleep()


def daemon(number: int, images: bytes) -> None:
    """A process with a new session, no environment and no parent is left behind."""
    code = f"import os, time; open({TEXT!r}, 'a').write(str(os.getpid()) + chr(10)); time.sleep(600)"
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(3, 64)
            os.execve(sys.executable, ["red", "-S", "-E", "-c", code], {})
        os._exit(0)
    os.wait()
    while not Path(TEXT).exists():
        time.sleep(0.02)
    write(answer(number, "images") + images)


def child_holds_the_pipe(number: int, images: bytes) -> None:
    """The worker ends, and a child with its pipes lives on."""
    if os.fork() == 0:
        os.setsid()
        sleep()
    os._exit(7)


def prepares_links(number: int, images: bytes) -> None:
    """Links, a FIFO and folders under every name that a harness could use next, then an honest answer."""
    for name in ("call-2", "in", "out", "0000.png", "tmp/out"):
        with contextlib.suppress(OSError):
            Path(name).symlink_to(TEXT)
    for name in ("call-3", "1", "2"):
        with contextlib.suppress(FileExistsError):
            Path(name).mkdir()
            os.mkfifo(f"{name}/0000.png")
            Path(name, "in").symlink_to(TEXT)
    write(answer(number, "images") + images)


def holds_a_link_loop(number: int, images: bytes) -> None:
    """A child that stays and puts links wherever a folder appears, then an honest answer."""
    code = (
        "import os, sys, time\n"
        "while True:\n"
        "    for folder, _, _ in os.walk('.'):\n"
        "        for name in ('0003.png', 'in', 'out'):\n"
        "            try: os.symlink(sys.argv[1], os.path.join(folder, name))\n"
        "            except OSError: pass\n"
        "    time.sleep(0.01)\n"
    )
    subprocess.Popen([sys.executable, "-S", "-E", "-c", code, TEXT])
    write(answer(number, "images") + images)


def replaces_its_folder(number: int, images: bytes) -> None:
    """Its own folder becomes a link to elsewhere, where its parent folder lets it."""
    here = Path.cwd()
    with contextlib.suppress(OSError):
        here.rename(f"{here}-moved")
        here.symlink_to(TEXT)
    write(answer(number, "images") + images)


def exits(number: int, images: bytes) -> None:
    os._exit(3)


def never_reads(order: dict) -> None:
    sleep()


def main() -> None:
    supervise()
    next_order()
    if DEED == "fails_to_start":
        sys.exit("no such library")
    write(answer(0, "ready"))
    number = next_order()["number"]
    if DEED == "fault_at_load":
        write(fault(number, **json.loads(TEXT)))
    write(answer(number, "claims", claims=CLAIMS))
    if DEED == "never_reads":
        sleep()
    while True:
        order = next_order()
        images = read_images(order)
        if DEED == "fine" or order["captions"][0] == "fine":
            write(answer(order["number"], "images") + images)
        else:
            globals()[DEED](order["number"], images)


main()
