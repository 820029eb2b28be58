"""Base models: where they come from, how they are loaded, and the small ones that the package ships."""

import logging

logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # warns at import of a kernel that nothing here uses
