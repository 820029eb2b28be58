"""Published directions against the committed records: each has a verdict, and none is claimed without its test."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cloakbench.store.reading import load
from cloakbench_leaderboards.scores import statistics
from cloakbench_leaderboards.scores.evidence import gather
from tests import claims
from tests.claims import ClaimVerdict


@pytest.fixture(scope="module")
def results():
    return claims.results(gather(load(claims.RECORDS)))


def test_every_claim_has_the_verdict_that_its_interval_and_p_give(results):
    for result in results:
        if result.verdict is ClaimVerdict.NOT_MEASURED:
            assert math.isnan(result.p)
        elif result.verdict is ClaimVerdict.UNDECIDED:
            assert result.p > 0.05
        else:
            # A corrected p below 0.05 implies an uncorrected one, and so an interval that excludes 0.
            assert result.difference.low > 0 or result.difference.high < 0
            assert (result.verdict is ClaimVerdict.HOLDS) is (result.difference.value > 0)


def test_verdicts_are_of_the_right_sign_on_planted_differences():
    clear, noisy = np.full(8, 0.3) + np.linspace(-0.02, 0.02, 8), np.linspace(-0.5, 0.6, 8)
    for values, expected in (
        (clear, ClaimVerdict.HOLDS),
        (-clear, ClaimVerdict.CONTRADICTED),
        (noisy, ClaimVerdict.UNDECIDED),
        (np.full(8, math.nan), ClaimVerdict.NOT_MEASURED),
    ):
        estimate = statistics.difference_estimates(values[None]).at(0)
        assert claims._verdict(estimate, claims._p(values)) is expected


def test_a_claim_at_equal_quality_has_to_be_shown_by_each_metric():
    clear = np.full(8, 0.3) + np.linspace(-0.02, 0.02, 8)
    differences = np.stack([clear, clear])
    checks = np.stack([np.stack([clear, clear]), np.stack([clear, np.linspace(-0.5, 0.6, 8)])])
    verdicts = [verdict for _, _, verdict in claims.judge(differences, checks)]
    assert verdicts == [ClaimVerdict.HOLDS, ClaimVerdict.UNDECIDED]
    verdicts = []
    for _, _, verdict in claims.judge(differences, np.stack([checks[0], -checks[0]])):
        verdicts.append(verdict)
    assert verdicts == [ClaimVerdict.UNDECIDED, ClaimVerdict.UNDECIDED]
