"""Runs a function in a fork that always ends: an exception in the child may not go on as a second test run."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable


def start(function: Callable[[], object]) -> int:
    """Returns the process id of a fork that runs `function`: exit code 0, or 1 after an exception, which is printed."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        function()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait_status(function: Callable[[], object]) -> int:
    """Returns the wait status of a fork that ran `function`."""
    return os.waitpid(start(function), 0)[1]
