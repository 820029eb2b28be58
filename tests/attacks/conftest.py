from __future__ import annotations

import pytest

from benchmark.models import loader


@pytest.fixture(params=["mini-a", "mini-b"])
def base(request, stand_ins):
    """A base model with epsilon prediction, and one with v prediction."""
    return loader.load(request.param)
