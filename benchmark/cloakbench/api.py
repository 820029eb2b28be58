"""What the command line does, from Python: `import cloakbench` offers these functions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloakbench.system.locations import default_store

if TYPE_CHECKING:
    import pandas as pd

    from cloakbench.image_values import ImageValue
    from cloakbench.images import Pixels
    from cloakbench.metrics.measuring import MetricResult
    from cloakbench.submissions.guard import Protected
    from cloakbench_leaderboards.versions.comparing import Comparison


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended: the cells of the plan, how many ran now, and how many have no good record."""

    store: Path
    cells: int
    ran: int
    failed: int


def protect(
    images: ImageValue | Iterable[ImageValue],
    protection: str,
    *,
    strength: float = 1.0,
    budget_255: int = 16,
    model: str = "mini-a",
    class_word: str = "painting",
    seed: int = 0,
) -> Protected:
    """Protects images.

    Args:
        images: One or several, of any size, as PIL images, arrays, tensors or paths.
        protection: An installed protection, such as `photoguard` or `photoguard[steps=200]`.
        strength: In (0, 1]; 1 uses the whole budget.
        budget_255: Largest change of a pixel at strength 1, in levels of 1/255.
        model: Alias or folder of the model whose gradients the protection uses.
        class_word: What the images are.
        seed: Seed of the protection's random numbers.

    Returns:
        `images`, arrays `[H, W, 3]` of uint8 in the order given; `pngs`; and `budgets`, the measured changes.

    Raises:
        UserError: A name or a value is wrong; the message is that of the command line.
        SubmissionError: The protection broke its contract.
    """
    from cloakbench.folders.protect import ProtectOptions, protect_images
    from cloakbench.image_values import to_pixels

    options = ProtectOptions(strength=strength, budget_255=budget_255, model=model, class_word=class_word, seed=seed)
    return protect_images(protection, to_pixels(images), options)


def attack(
    images: ImageValue | Iterable[ImageValue],
    countermeasure: str,
    *,
    suite: str | None = None,
    model: str | None = None,
) -> list[Pixels]:
    """Returns images cleaned as an attacker would clean them, arrays `[H, W, 3]` of uint8.

    Args:
        images: One or several, of any size, as PIL images, arrays, tensors or paths.
        countermeasure: Such as `jpeg`, or a chain such as `noise+impress`.
        suite: Suite whose settings are used, or path to its TOML file; by default the one for the model's family.
        model: Alias or folder of a model in place of those that the suite names.

    Raises:
        UserError: A name or a value is wrong.
    """
    from cloakbench.folders.clean import clean_images
    from cloakbench.image_values import to_pixels

    return list(clean_images(countermeasure, to_pixels(images), suite, model))


def measure(
    images: ImageValue | Iterable[ImageValue],
    references: ImageValue | Iterable[ImageValue] | None,
    metrics: Sequence[str],
) -> list[MetricResult]:
    """Measures images against references.

    Args:
        images: The changed or generated images.
        references: The originals in the same order, or a set of other images; None where no metric needs any.
        metrics: Names of metrics; `cloakbench list metrics` shows all.

    Returns:
        One result per metric: its name, version, value (the mean over images, or the value of the set) and n.

    Raises:
        UserError: A metric is unknown or cannot take the images, or its weights are missing.
    """
    from cloakbench.metrics.catalogue import find

    for name in metrics:
        find(name)  # before the models' libraries are imported, which takes seconds
    from cloakbench.image_values import to_pixels
    from cloakbench.metrics.measuring import measure_images

    others = [] if references is None else to_pixels(references)
    return measure_images(metrics, to_pixels(images), others)


def run(
    suite: str = "mini",
    protections: Sequence[str] = (),
    *,
    images: Path | str | None = None,
    store: Path | str | None = None,
    only: Sequence[str] = (),
    limit: int | None = None,
    model: str | None = None,
    workers: int | None = None,
) -> RunSummary:
    """Runs what is missing of a suite; a second call goes on where the first one stopped.

    Args:
        suite: Name of a suite, or path to its TOML file.
        protections: Which protections; all installed ones by default. References are added.
        images: Folder of images, for suites that ship none.
        store: Folder of the records; ./results or $CLOAKBENCH_STORE by default.
        only: Restrictions such as `artist=oakshaw`.
        limit: Run at most this many cells.
        model: Base model in place of the suite's, for the suite `folder`.
        workers: Number of processes that run cells.

    Raises:
        UserError: A name or a value is wrong, or weights are missing.
    """
    from cloakbench.runs.choice import Choice
    from cloakbench.runs.executors import ExecutorOptions, choose
    from cloakbench.suites.load import load

    load(suite)  # before the models' libraries are imported, which takes seconds
    from cloakbench.runs import session as sessions

    folder = None if images is None else Path(images)
    session = sessions.plan(Choice(suite, protections, folder, only, limit, model), _folder(store))
    outcomes = sessions.run(session, choose(ExecutorOptions(workers=workers), session, False))
    return RunSummary(
        session.store.root, len(session.cells), len(outcomes), sessions.failed(session.counts(), outcomes)
    )


def scores(store: Path | str | None = None, suite: str | None = None) -> pd.DataFrame:
    """Returns the scores of a store as a frame, one row per protection, strength and attack.

    Args:
        store: A store or a folder of reference records; ./results or $CLOAKBENCH_STORE by default.
        suite: Which suite, where records hold several.

    Returns:
        Columns `protection`, `strength`, `attack`, `artists`, `p`, `p_low`, `p_high`, `distance` and one per quality
        metric. P is 0 where the mimic gets what clean images give it, 1 where it learned nothing.

    Raises:
        UserError: There are no records.
    """
    import pandas as pd

    from cloakbench.store.reading import load
    from cloakbench_leaderboards.board.board import board as view

    points = view(load(_folder(store), suite)).points
    rows = []
    for point in points:
        row = {"protection": point.protection, "strength": point.strength, "attack": point.attack}
        row |= {"artists": point.artists, "p": _float(point.p.value), "p_low": _float(point.p.low)}
        row |= {"p_high": _float(point.p.high), "distance": _float(point.distance.value)}
        rows.append({**row, **point.quality})
    return pd.DataFrame(rows)


def _float(value: float | None) -> float:
    return math.nan if value is None else value


def compare(before: str, after: str, *, suite: str | None = None, store: Path | str | None = None) -> list[Comparison]:
    """Compares two protections, versions, stores or commits, attack by attack.

    Args:
        before: A protection (`photoguard`), a version of one, a folder of records (`FOLDER` or `FOLDER:photoguard`), or
            such a folder in a git commit (`REV:FOLDER`).
        after: The other side, as `before`.
        suite: Which suite, where records hold several.
        store: Records of sides without a folder; ./results or $CLOAKBENCH_STORE by default.

    Raises:
        UserError: A side is unknown, or both share no cell.
    """
    from cloakbench_leaderboards.versions import references, regress

    return regress.comparisons(references.parse(before), references.parse(after), _folder(store), suite)


def board(
    store: Path | str | None = None,
    out: Path | str = "site",
    *,
    suite: str | None = None,
    unofficial: bool = False,
    survey: bool = False,
) -> Path:
    """Builds the leaderboard and returns the path of its front page.

    Args:
        store: A store or a folder of reference records; ./results or $CLOAKBENCH_STORE by default.
        out: Folder of the site.
        suite: Which suite, where records hold several.
        unofficial: Build it though checks with known answers fail; the page says which.
        survey: Add `survey/index.html`, which asks viewers about pairs of imitations.

    Raises:
        UserError: There are no records, a check with known answers fails, or a survey finds no pictures.
    """
    from cloakbench_leaderboards.site.site import build

    return build(_folder(store), Path(out), suite, unofficial, survey)


def _folder(store: Path | str | None) -> Path:
    return default_store() if store is None else Path(store)
