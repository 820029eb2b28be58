"""A submission that tries to reach out of its box, in the way that its first caption names; the second says with what.

A deed that got something raises `Got`, so that its message shows in the fault; what is refused raises its own error.
"""

from __future__ import annotations

from tests.submissions import deeds_to_processes

SOURCE = '''
import ctypes, gc, io, os, signal, socket, struct, subprocess, sys, time
from pathlib import Path

import torch

from cloakbench import Protection

LIBC = ctypes.CDLL(None, use_errno=True)


class Got(Exception):
    pass


def fine(images, text):
    return images


def _checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _lower_hook():
    for thing in gc.get_objects():
        if type(thing).__name__ == "AuditHook":
            thing._allowed, thing._hidden, thing._is_active = ("",), (), False


def writes(images, text):
    _lower_hook()
    Path(text, "stolen").write_text("x")
    raise Got("wrote")


def writes_by_program(images, text):
    subprocess.run(["sh", "-c", "echo x > \\"$0\\"/stolen", text], check=True, stderr=subprocess.DEVNULL)
    raise Got("wrote")


def writes_by_libc(images, text):
    _checked(LIBC.open(os.path.join(text, "stolen").encode(), os.O_CREAT | os.O_WRONLY, 0o600))
    raise Got("wrote")


def links(images, text):
    _lower_hook()
    Path("taken").unlink(missing_ok=True)
    os.link(text + "/secret", "taken")
    raise Got("linked")


def removes(images, text):
    _lower_hook()
    os.unlink(text + "/secret")
    raise Got("removed")


def reads(images, text):
    _lower_hook()
    raise Got(Path(text, "secret").read_text())


def reads_by_program(images, text):
    done = subprocess.run(["cat", text + "/secret"], capture_output=True)
    raise (Got if done.stdout else OSError)(repr(done.stdout + done.stderr))


def lists_home(images, text):
    _lower_hook()
    import pwd

    try:
        home = pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        raise OSError("no such user") from None
    raise Got(repr(os.listdir(home)))


def _connect(family, kind, address):
    _lower_hook()
    with socket.socket(family, kind) as stream:
        stream.settimeout(2)
        stream.connect(address)
        stream.sendall(b"from inside")
    raise Got("sent")


def tcp(images, text):
    _connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", int(text)))


def tcp_by_libc(images, text):
    number = _checked(LIBC.socket(2, 1, 0))
    address = struct.pack("=HH4s8x", 2, socket.htons(int(text)), socket.inet_aton("127.0.0.1"))
    _checked(LIBC.connect(number, address, len(address)))
    raise Got("connected")


def tcp_by_program(images, text):
    subprocess.run(["bash", "-c", "echo x >/dev/tcp/127.0.0.1/$0", text], check=True, stderr=subprocess.DEVNULL)
    raise Got("sent")


def udp(images, text):
    """Where there is a network of its own, the bytes leave for nowhere; the harness looks at its socket."""
    _lower_hook()
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendmsg([b"leak"], [], 0, ("127.0.0.1", int(text)))
    raise Got("sent")


def unix_path(images, text):
    _connect(socket.AF_UNIX, socket.SOCK_STREAM, text)


def unix_abstract(images, text):
    _connect(socket.AF_UNIX, socket.SOCK_STREAM, "\\0" + text)


def netlink(images, text):
    _checked(LIBC.socket(16, 3, 0))
    raise Got("netlink")


def io_uring(images, text):
    _checked(LIBC.syscall(425, 1, ctypes.create_string_buffer(256)))
    raise Got("io_uring")


def chmods(images, text):
    _checked(LIBC.chmod((text + "/secret").encode(), 0o604))
    raise Got("changed")


def chowns(images, text):
    _checked(LIBC.chown((text + "/secret").encode(), -1, -1))
    raise Got("changed")


def touches(images, text):
    _checked(LIBC.utimes((text + "/secret").encode(), None))
    raise Got("changed")


def marks(images, text):
    _checked(LIBC.setxattr((text + "/secret").encode(), b"user.note", b"x", 1, 0))
    raise Got("changed")


def system_v_memory(images, text):
    """Memory with a number, which stays when all processes have ended."""
    _checked(LIBC.shmget(int(text), 4096, 0o1600))
    raise Got("left")


def system_v_queue(images, text):
    _checked(LIBC.msgget(int(text), 0o1600))
    raise Got("left")


def shared_memory(images, text):
    """A name under /dev/shm that another entry could find."""
    _lower_hook()
    Path("/dev/shm", text).write_text("left")
    raise Got("left")


def shared_memory_found(images, text):
    _lower_hook()
    raise Got(Path("/dev/shm", text).read_text())


def _fill(folder):
    _lower_hook()
    written = 0
    with open(os.path.join(folder, "fill"), "wb", buffering=0) as file:
        try:
            while written < 4 << 30:
                written += file.write(b"x" * (16 << 20))
        except OSError as error:
            raise OSError(f"full after {written >> 20} MiB: {error.strerror}") from None
        finally:
            os.truncate(file.fileno(), 0)
    raise Got(f"wrote {written >> 20} MiB")


def fills_shared_memory(images, text):
    _fill("/dev/shm")


def fills_box(images, text):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _fill(".")


def imports_from_cache(images, text):
    import deeds_more

    raise (Got if deeds_more.VALUE == "from the cache" else OSError)(deeds_more.VALUE)


def lone_surrogate(images, text):
    raise RuntimeError("lone \\ud800 here")


def terminal(images, text):
    raise RuntimeError("\\x1b]0;pwned\\x07\\x1b[2J<script>\\u202etxt")


def huge_text(images, text):
    raise RuntimeError("A" * 30_000_000)


def sparse(images, text):
    return images.to_sparse()


class Lying(torch.Tensor):
    def isfinite(self):
        raise RuntimeError("no")


def lying(images, text):
    return images.as_subclass(Lying)


def meta(images, text):
    return images.to("meta")


def complex_numbers(images, text):
    return images.to(torch.complex64)


def blackens(images, text):
    return images * 0


class Hostile(Protection):
    title = "deeds \\x1b[2J\\u202e\\ud800" + "t" * 5000
    licence = "none"
    budget = "linf"

    def protect(self, images, request):
        return globals()[request.captions[0]](images, request.captions[1])


'''
SOURCE += deeds_to_processes.SOURCE
