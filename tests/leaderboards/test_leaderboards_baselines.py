from __future__ import annotations

import baselines


def test_the_tables_of_the_baselines_are_those_of_the_committed_records():
    assert baselines.committed() == baselines.current(), f"refresh the tables: {baselines.REFRESH}"
