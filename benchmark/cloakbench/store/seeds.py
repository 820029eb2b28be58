"""Seeds of attacks: derived from named components only, so that all arms of one artist and seed index pair."""

from __future__ import annotations

import hashlib

from cloakbench.store.key import canonical


def derive(salt: str, suite: str, artist: str, index: int, stage: str, draw: int = 0) -> int:
    """Returns a seed in [0, 2^63) from all that may enter it: never the protection, strength or countermeasure."""
    parts = {"salt": salt, "suite": suite, "artist": artist, "index": index, "stage": stage, "draw": draw}
    return int.from_bytes(hashlib.sha256(canonical(parts)).digest()[:8], "big") >> 1


def salt_digest(salt: str) -> str:
    """Returns the SHA-256 of a salt, which a board may show before the salt is published."""
    return hashlib.sha256(salt.encode()).hexdigest()
