"""Anti-DreamBooth (FSMG and ASPL) as a cloakbench submission."""

from cloakbench_anti_dreambooth.protection import AntiDreamBooth

__all__ = ["AntiDreamBooth"]
