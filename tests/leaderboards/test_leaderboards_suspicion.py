"""Flags of a board's own numbers: planted ones are found, honest boards have none."""

from __future__ import annotations

import pytest
import synthetic

from cloakbench.store.reading import Loaded
from cloakbench_leaderboards.board.board import view
from cloakbench_leaderboards.scores.evidence import gather
from cloakbench_leaderboards.scores.flags import MEANINGS
from cloakbench_leaderboards.scores.suspicion import NOISE, RAISES, suspicions

NAMES = [f"artist-{n}" for n in range(1, 9)]
ATTACKS = (synthetic.PLAIN, synthetic.JPEG)
CLEANED = 0.03
"""How far jpeg moves clean images."""


def jitter(n, salt):
    return ((n * 7 + salt * 3) % 5 - 2) / 500


def board(plain=0.6, cleaned=0.45, noise=0.35, names=NAMES):
    """One protection and random noise by their distances without and with jpeg; clean is 0.3 and the floor 0.8."""
    made = []
    for n, artist in enumerate(names):
        made += synthetic.arms(artist, 0.3, 0.8)
        made.append(synthetic.record("identity", artist, 0.3 + CLEANED, synthetic.JPEG))
        for name, values in (("cloak", (plain, cleaned)), ("random-noise", (noise, noise))):
            for salt, (attack, value) in enumerate(zip(ATTACKS, values, strict=True)):
                made.append(synthetic.record(name, artist, value + jitter(n, salt), attack))
    return gather(Loaded(synthetic.facts(synthetic.suite(names, ATTACKS)), made, []))


def test_an_honest_board_has_no_flags():
    assert suspicions(board()) == {}


def test_a_countermeasure_that_raises_p_is_flagged_by_name():
    assert suspicions(board(plain=0.4, cleaned=0.6)) == {"cloak": ((RAISES, "jpeg raises P"),)}


def test_countermeasures_that_raise_p_share_one_flag():
    records = list(board(plain=0.4, cleaned=0.6).records)
    for n, artist in enumerate(NAMES):
        records.append(synthetic.record("identity", artist, 0.3 + CLEANED, synthetic.BLUR))
        records.append(synthetic.record("cloak", artist, 0.6 + jitter(n, 2), synthetic.BLUR))
    facts = synthetic.facts(synthetic.suite(NAMES, (*ATTACKS, synthetic.BLUR)))
    assert suspicions(gather(Loaded(facts, records, []))) == {"cloak": ((RAISES, "jpeg, blur raise P"),)}


def test_what_the_countermeasure_does_to_clean_images_is_no_sign():
    assert suspicions(board(plain=0.5, cleaned=0.5 + CLEANED)) == {}


@pytest.mark.parametrize("value", [0.35, 0.32])
def test_an_entry_that_random_noise_matches_is_flagged(value):
    assert suspicions(board(plain=value, cleaned=0.31)) == {"cloak": ((NOISE, NOISE),)}


def test_too_few_artists_flag_nothing():
    assert suspicions(board(plain=0.4, cleaned=0.6, names=NAMES[:4])) == {}


def test_the_board_shows_them_among_an_entrys_flags_with_their_meaning():
    [cloak] = [
        protection_view
        for protection_view in view(board(plain=0.4, cleaned=0.6)).protections
        if protection_view.label == "cloak"
    ]
    assert {flag.label: flag.words for flag in cloak.flags}["jpeg raises P"] == MEANINGS[RAISES]
