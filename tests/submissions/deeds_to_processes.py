"""Deeds of the submission in `deeds.py` that are done to other processes and to the kernel."""

from __future__ import annotations

SOURCE = '''
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
'''
