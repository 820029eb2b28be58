"""Images that another program protected, or cleaned, as entries: how a closed tool takes part."""

from cloakbench_images.countermeasure import Cleaned
from cloakbench_images.protection import Images

__all__ = ["Cleaned", "Images"]
