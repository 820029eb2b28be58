"""The commands that reproduce a number of the board, ready to be pasted into a shell."""

from __future__ import annotations

import shlex

from cloakbench.schemas import ranked_cells
from cloakbench.schemas.kinds import BudgetKind
from cloakbench.schemas.record import ProtectionFacts, Record
from cloakbench.schemas.suite import Suite
from cloakbench_leaderboards import text
from cloakbench_leaderboards.scores.setting import Setting
from cloakbench_leaderboards.scores.standings import CONTROLS

PUBLIC_SALT = "efa1f375d76194fa51a3556a97e641e61685f914d446979da50a551a4333ffd7"
"""SHA-256 of the salt `public`, which every run without a secret one uses."""
LIMIT = 400
"""Characters of one word of a command; the rest is cut."""


def install(facts: ProtectionFacts) -> str:
    """Returns the command that installs a protection; empty for a control, which is part of the harness."""
    if facts.role in CONTROLS:
        return ""
    return f"pip install {_quoted(f'{facts.distribution}=={facts.version}')}"


def run(suite: Suite, salt_digest: str, facts: ProtectionFacts, *only: str) -> str:
    """Returns the command that runs a protection, and the controls where `only` does not exclude them."""
    parts = ["cloakbench", "run", suite.name]
    if facts.role not in CONTROLS:
        parts += ["--protection", facts.name]
    for part in only:
        parts += ["--only", part]
    parts += _images(suite)
    if salt_digest != PUBLIC_SALT:
        parts += ["--salt-file", "FILE"]
    return " ".join(_quoted(part) for part in parts)


def protect(facts: ProtectionFacts, strength: float) -> str:
    """Returns the command that protects a folder of images; empty for a control and for images from a closed tool."""
    if facts.role in CONTROLS or facts.budget == BudgetKind.READY_MADE:
        return ""
    parts = ["cloakbench", "protect", facts.name, "--in", "FOLDER", "--out", "PROTECTED", "--strength", f"{strength:g}"]
    return " ".join(_quoted(part) for part in parts)


def cell(suite: Suite, record: Record) -> str:
    """Returns the command that runs one cell."""
    point = f"strength={record.strength:g}" if record.target is None else f"target={record.target:g}"
    return run(
        suite,
        record.salt_digest,
        record.protection,
        f"protection={record.protection.name}",
        f"artist={record.artist}",
        f"attack={record.attack.name}",
        point,
        f"seed={record.seed}",
    )


def enter(suite: Suite) -> tuple[str, ...]:
    """Returns the commands from a new protection to an archive of its records under a suite."""
    name = _quoted(suite.name)
    return (
        "cloakbench new my-cloak",
        "pip install -e my-cloak",
        "cloakbench check my-cloak",
        " ".join(["cloakbench run", name, "--protection my-cloak", *_images(suite)]),
        f"cloakbench submit my-cloak --suite {name} --out my-cloak.zip",
    )


def fill(suite: Suite) -> str:
    """Returns the command that runs all missing cells of a suite."""
    return " ".join(["cloakbench refresh", _quoted(suite.name), *_images(suite)])


def fill_ranks(setting: Setting) -> str:
    """Returns the command that runs only the missing cells that ranks rest on."""
    suite, target = setting.suite, setting.middle.target
    parts = ["cloakbench", "run", suite.name]
    if target in suite.calibrated:
        parts += ["--only", f"target={target:g}"]
    for name in ranked_cells.rank_attacks(suite):
        parts += ["--only", f"attack={name}"]
    return " ".join(_quoted(part) for part in [*parts, *_images(suite)])


def _images(suite: Suite) -> list[str]:
    return ["--images", "FOLDER"] if suite.dataset != "mini" else []


def _quoted(part: str) -> str:
    return shlex.quote(text.plain(part, LIMIT))
