"""Score distillation (SDS) as a cloakbench submission."""

from cloakbench_sds.protection import ScoreDistillation

__all__ = ["ScoreDistillation"]
