"""Which Python an entry runs with."""

from __future__ import annotations

import sys
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.submissions import discovery, environments, naming
from cloakbench.submissions.discovery import EntryKind


def interpreter(spelling: str, kind: EntryKind) -> Path:
    """Returns the Python that an entry runs with: ours, unless it has an environment of its own."""
    try:
        offer = discovery.find(naming.parse(spelling).name, kind=kind)
    except UserError:  # said when it is loaded
        return Path(sys.executable)
    return environments.python(offer.distribution)
