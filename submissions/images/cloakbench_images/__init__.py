"""Already protected images as a cloakbench submission: how a closed tool is entered."""

from cloakbench_images.protection import Images

__all__ = ["Images"]
