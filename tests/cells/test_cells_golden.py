"""Keys stay what they are, so that records stay readable, unless a change of them is meant."""

from __future__ import annotations

import pytest

from tests import golden_keys


@pytest.fixture(scope="module")
def current():
    return golden_keys.current()


@pytest.mark.parametrize("suite", ["tiny", *golden_keys.SUITES])
def test_keys_are_the_committed_ones(current, suite):
    """Where this fails and the change is meant, refresh the file and say in CHANGELOG.md why keys change."""
    before = {name: keys for name, keys in golden_keys.committed().items() if name.startswith(f"{suite}: ")}
    now = {name: keys for name, keys in current.items() if name.startswith(f"{suite}: ")}
    assert now == before, golden_keys.REFRESH


def test_every_kind_of_recipe_is_among_them(current):
    stages = set()
    for keys in current.values():
        for stage in keys:
            stages.add(stage)
    assert stages == {"calibrate", "protect", "countermeasure", "personalise", "generate", "measure"}
