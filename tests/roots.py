"""The folders of this repository that other processes of the tests import from."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]
IMPORTABLE = [str(ROOT), str(ROOT / "benchmark"), str(ROOT / "leaderboards")]
PYTHONPATH = os.pathsep.join(IMPORTABLE)
