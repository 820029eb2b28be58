"""PID as a cloakbench submission."""

from cloakbench_pid.protection import Pid

__all__ = ["Pid"]
