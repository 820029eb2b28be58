"""A submission that tries to reach out of its box, in the way that its first caption names; the second says with what.

A deed that got something raises `Got`, so that its message shows in the fault; what is refused raises its own error.
"""

from __future__ import annotations

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


def _harness():
    """The process whose memory is worth having: the nearest ancestor beyond the supervisor."""
    pid = os.getppid()
    if pid > 1:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        pid = next(int(line.split()[1]) for line in lines if line.startswith("PPid"))
    if pid <= 1:
        raise OSError("the harness is not visible")
    return pid


def harness_environment(images, text):
    raise Got(Path(f"/proc/{_harness()}/environ").read_text()[:100])


def harness_memory(images, text):
    raise Got(str(os.open(f"/proc/{_harness()}/mem", os.O_RDONLY)))


def harness_memory_by_call(images, text):
    class Piece(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]

    buffer = ctypes.create_string_buffer(8)
    local, remote = Piece(ctypes.addressof(buffer), 8), Piece(id(None), 8)
    _checked(LIBC.process_vm_readv(_harness(), ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))
    raise Got("read")


def harness_traced(images, text):
    _checked(LIBC.ptrace(16, _harness(), 0, 0))
    raise Got("traced")


def harness_signalled(images, text):
    os.kill(_harness(), 0)
    raise Got("signalled")


def harness_arguments(images, text):
    raise Got(Path(f"/proc/{_harness()}/cmdline").read_text()[:100])


def harness_files(images, text):
    """Folders and open files of the harness by way of its entries in /proc."""
    for name in ("root", "cwd", "fd/3"):
        try:
            os.stat(f"/proc/{_harness()}/{name}/.")
        except NotADirectoryError:
            pass
        except OSError:
            continue
        raise Got(name)
    raise OSError("none")


def supervisor_files(images, text):
    """The same by way of process 1 and its own supervisor."""
    for pid in (1, os.getppid()):
        for name in ("root" + text, "cwd" + text):
            try:
                found = os.listdir(f"/proc/{pid}/{name}")
            except OSError:
                continue
            raise Got(repr(found))
    raise OSError("none")


def nests_folders(images, text):
    """More folders in each other than a recursive removal can follow; the way back is no path."""
    here = os.open(".", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    os.fchdir(here)
    return images


def locks_folders(images, text):
    """Folders in its own that nobody may list or write."""
    os.umask(0o777)
    for name in ("a", "b"):
        os.mkdir(name)
    return images


def daemon(images, text):
    """A process with a session of its own and no environment."""
    subprocess.Popen(["sleep", "617"], env={}, start_new_session=True)
    return images


def daemon_without_supervisor(images, text):
    """The same, after an attempt to end the process whose child the daemon would become."""
    subprocess.Popen(["sleep", text], env={}, start_new_session=True)
    os.kill(os.getppid(), signal.SIGKILL)
    raise Got("killed, where process 1 is not the one that ends")


def forks(images, text):
    """More processes than are allowed, each with a child, for as long as it may."""
    for _ in range(200):
        if os.fork() == 0:
            os.setsid()
            os.fork()
            time.sleep(60)
    time.sleep(60)


def harness_limited(images, text):
    """Sets the limit of the harness's open files anew, to what it is; any lower one would end its work."""
    limits = (ctypes.c_ulong * 2)()
    _checked(LIBC.prlimit(_harness(), 7, None, limits))
    _checked(LIBC.prlimit(_harness(), 7, limits, None))
    raise Got("limited")


def harness_slowed(images, text):
    _checked(LIBC.setpriority(0, _harness(), 19))
    raise Got("slowed")


def harness_pinned(images, text):
    _checked(LIBC.sched_setaffinity(_harness(), 8, ctypes.byref(ctypes.c_ulong(1))))
    raise Got("pinned")


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


def devices(images, text):
    for name in ("vda", "sda", "nvme0n1", "kmsg", "mem"):
        try:
            os.close(os.open("/dev/" + name, os.O_RDONLY | os.O_NONBLOCK))
        except OSError:
            continue
        raise Got(name)
    raise OSError("none")


def becomes_root(images, text):
    _checked(LIBC.unshare(0x10000000))
    raise Got("namespace")


def becomes_root_by_clone(images, text):
    _clone(LIBC.syscall(56 if os.uname().machine == "x86_64" else 220, 0x10000000 | 17, 0, 0, 0, 0))


def becomes_root_by_clone3(images, text):
    arguments = struct.pack("8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0)
    _clone(LIBC.syscall(435, arguments, len(arguments)))


def _clone(result):
    child = _checked(result)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    raise Got("namespace")


def mounts(images, text):
    _checked(LIBC.mount(b"none", b".", b"tmpfs", 0, None))
    raise Got("mounted")


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
