"""Two artists with their arms, and the frame of the cells of records."""

from __future__ import annotations

import pandas as pd
import synthetic
from synthetic import arms

from cloakbench.schemas.record import Record
from cloakbench_leaderboards.data import frames

TWO = synthetic.suite(["a", "b"])
# artist  clean  floor  denominator
# a       0.4    0.8    0.4
# b       0.3    0.9    0.6
ARMS = [*arms("a", 0.4, 0.8), *arms("b", 0.3, 0.9)]


def cells(records: list[Record]) -> pd.DataFrame:
    return frames.cells(frames.places(records), frames.generations(records), "style-distance")
