"""IP-Adapter as a cloakbench attack."""

from cloakbench_ip_adapter.mimicry import IPAdapter

__all__ = ["IPAdapter"]
