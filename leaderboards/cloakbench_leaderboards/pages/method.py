"""The method page: formulas, protocol, attacks and metrics, from the facts that a run wrote into the store."""

from __future__ import annotations

from collections.abc import Iterator

from cloakbench.schemas.suite_tables import Matching
from cloakbench_leaderboards import text
from cloakbench_leaderboards.board.published import published
from cloakbench_leaderboards.board.tables import CellKind, Row, Table, TableCell, TableColumn
from cloakbench_leaderboards.board.view import Pair, pairs
from cloakbench_leaderboards.board.words import CONTROL_WORDS, GLOSSARY, stop_name
from cloakbench_leaderboards.pages import method_tables as tables
from cloakbench_leaderboards.pages.method_tables import Section
from cloakbench_leaderboards.parts import addresses
from cloakbench_leaderboards.parts.exports import COLUMNS
from cloakbench_leaderboards.parts.lookup import Lookup
from cloakbench_leaderboards.parts.page import Page
from cloakbench_leaderboards.scores.gold import LEAST_SHARE, has_gold_run
from cloakbench_leaderboards.scores.ranking import RATE
from cloakbench_leaderboards.scores.standings import WORST_CASE
from cloakbench_leaderboards.scores.statistics import LEVEL, MIN_ARTISTS, SIGNAL_RATIO


def pages(lookup: Lookup, noise: tuple[Pair, ...]) -> Iterator[Page]:
    """Yields the page; `noise` are the smallest differences that the board can show."""
    sections = (
        _protocol(lookup),
        _scores(lookup),
        _matching(lookup),
        _aggregates(lookup),
        _uncertainty(noise),
        _gold(lookup),
        tables.attacks(lookup),
        tables.metrics(lookup),
        _published(lookup),
        Section("controls", "References", pairs=pairs(CONTROL_WORDS)),
        tables.missing(),
        tables.security(),
        Section("glossary", "Glossary", pairs=pairs(GLOSSARY)),
        Section("data", "Columns of results.csv", pairs=pairs(COLUMNS)),
    )
    context = {"sections": tuple(section for section in sections if section is not None)}
    yield Page(addresses.METHOD, "method.html", "Method", context, addresses.METHOD)


def _protocol(lookup: Lookup) -> Section:
    suite = lookup.evidence.suite
    digests = sorted({record.salt_digest for record in lookup.evidence.records})
    salts = ", ".join([text.plain(digest, 64) for digest in digests])
    artists = text.listed(list(map(text.name, lookup.evidence.artists)), 40)
    pairs = [
        Pair("Suite", f"{suite.name}, version {suite.version}: {text.plain(suite.description, 1000)}"),
        Pair("Artists", artists),
        Pair("Images", f"{suite.images_per_artist} per artist are protected; the mimic gets no others"),
        Pair("Budget", f"L∞ of {suite.budget_255}/255 at strength 1, checked on the saved 8-bit PNG"),
        Pair("Strengths", text.numbers(sorted(suite.strengths))),
        Pair("Surrogate", f"{text.name(suite.surrogate)}: the model whose gradients a protection may use"),
        Pair("Seeds", f"{suite.seeds.protected} for each protection, {suite.seeds.controls} for the references"),
        Pair("Captions", f"{text.plain(suite.caption)}, token {text.name(suite.token)}"),
        Pair("Prompts", text.plain("; ".join(suite.sampling.prompts), 1000)),
        Pair(
            "Sampling",
            f"{suite.sampling.per_prompt} images per prompt, {suite.sampling.scheduler}, {suite.sampling.steps} steps, "
            f"guidance {suite.sampling.guidance:g}, {suite.dtype}",
        ),
        Pair("Salt", f"SHA-256 {salts}"),
    ]
    sentences = (
        "One cell is one protection at one strength, for one artist, one attack and one seed. The images are "
        "protected and saved; the mimic may clean them, fine-tunes a model on them and generates; metrics compare "
        "with the artist.",
        "Attack seeds follow from salt, suite, artist and seed index, never from the protection or its strength: "
        "all arms train on the same noise and start from the same latents, so their differences are the "
        "protection's.",
    )
    return Section("protocol", "Protocol", sentences=sentences, pairs=tuple(pairs))


def _scores(lookup: Lookup) -> Section:
    primary = lookup.evidence.suite.metrics.primary
    facts = lookup.evidence.metric(primary)
    formulas = (
        _formula(
            "D",
            f"{text.name(primary)}, the mean over a cell's generations"
            + (f". {text.plain(facts.summary)}" if facts else ""),
        ),
        _formula("denominator", "D(floor) - D(clean), both without countermeasure, mean over the seeds that both have"),
        _formula("P", "(D(protected) - D(clean, no countermeasure)) / denominator"),
        _formula("effect", "(D(protected) - D(clean, same countermeasure)) / denominator"),
        _formula("over artists", "sum(min(P of artist, 1) x denominator) / sum(denominator); effect likewise"),
        _formula(
            "signal",
            f"the lower limit of the denominator (mean - 2 standard errors over seeds) is at least {SIGNAL_RATIO:g} "
            "times the standard deviation of D(clean) over attack seeds",
        ),
    )
    sentences = (
        "P is 0 where the mimic gets what clean images give it, 1 where it is as if it had never seen the artist, and "
        "below 0 where it comes closer than from clean images. No other protection is part of it.",
        "Where an attack has no signal on an artist it did not learn, so there is nothing to protect against: shown, "
        "counted, not scored.",
    )
    return Section("scores", "Scores", formulas, sentences)


def _published(lookup: Lookup) -> Section | None:
    table = published(lookup.evidence)
    return Section("published", "Figures of the papers", table=table) if table is not None else None


def _formula(label: str, words: str) -> Pair:
    return Pair(label, words.replace(" - ", f" {text.MINUS} ").replace(" x ", " \N{MULTIPLICATION SIGN} "))


def _matching(lookup: Lookup) -> Section:
    rules = lookup.evidence.suite.matching
    title = "How strengths are matched"
    if rules is None:
        strengths = text.numbers(sorted(lookup.evidence.suite.strengths))
        return Section("quality", title, sentences=(f"Protections are compared at equal strengths: {strengths}.",))
    sentences = (
        f"Protections are compared where they are equally visible by {text.name(rules.metric)}.",
        _calibrated(rules),
        "Other strengths are read from a straight line between two measured points. Past the last point the target is "
        "“not reached”: nothing is extrapolated. A curve stops at the first limit that it meets.",
    )
    return Section("quality", title, sentences=sentences, table=_targets(rules))


def _calibrated(rules: Matching) -> str:
    """Returns how the strength of a calibrated target is found."""
    if rules.own_images:
        return (
            f"A calibrated strength is found for each artist on {rules.images_per_artist} of the artist's own images, "
            "in whole 8-bit levels. A share of the change at that level is then kept, the largest with which all of "
            "the artist's images on average keep every limit."
        )
    artists = text.listed(list(map(text.name, rules.artists))) or "none"
    return (
        f"A calibrated strength is found on images of other artists ({artists}); there it is better than the target by "
        f"at most {rules.tolerance:g}."
    )


def _targets(rules: Matching) -> Table:
    columns = [TableColumn(text.name(rules.metric), "target")]
    for name in rules.gates:
        columns.append(TableColumn(text.name(name), "limit"))
    columns.append(TableColumn("Strength", kind=CellKind.WORDS))
    rows = []
    for number, target in enumerate(rules.targets):
        cells = [TableCell(f"{target:g}", target)]
        for values in rules.gates.values():
            cells.append(TableCell(f"{values[number]:g}", values[number]))
        words = "calibrated" if target in rules.calibrated else "read from the curve"
        cells.append(TableCell(words, kind=CellKind.WORDS))
        rows.append(Row(stop_name(number), "carries the rank" if number == 1 else "", False, tuple(cells)))
    return Table("Targets and limits", "Visibility", tuple(columns), tuple(rows))


def _aggregates(lookup: Lookup) -> Section:
    suite = lookup.evidence.suite
    ranks = (
        "the worst case"
        if suite.rank_by == WORST_CASE
        else f"P under “{text.name(suite.rank_by)}” at the middle strength"
    )
    formulas = (
        _formula(
            "worst case",
            "P under the countermeasure that is lowest on halves of the other artists, because a minimum of noisy "
            "values is too low; less the same of the unprotected images",
        ),
        _formula("mean", "mean of P over all attacks that learned from some artist"),
        _formula(
            "retention", "mean P under countermeasures / P without; not defined where P without is not clear of 0"
        ),
        _formula(
            "area", "average P over all visibilities up to the middle target, minus that of the unprotected images"
        ),
        _formula("front", "at some measured point no other protection protects more at its visibility"),
        _formula("rank", f"decided by {ranks}"),
    )
    return Section("aggregates", "Aggregates", formulas)


def _uncertainty(noise: tuple[Pair, ...]) -> Section:
    sentences = (
        f"The artist is the unit of replication. Intervals hold {LEVEL:.0%}: t over artists, corrected for skewness "
        f"by Hall's transformation (1992). Below {MIN_ARTISTS} artists there is neither interval nor rank.",
        "Every pair of ranked protections is compared by a t-test of its paired differences over artists; false "
        f"discoveries are kept to {RATE:.0%} over all pairs (Benjamini and Hochberg 1995). A rank runs from 1 + "
        "protections told apart above to the number of protections less those told apart below.",
    )
    return Section("uncertainty", "Uncertainty", sentences=sentences, pairs=noise)


def _gold(lookup: Lookup) -> Section | None:
    suite = lookup.evidence.suite
    if not has_gold_run(suite):
        return None
    band = suite.random_noise_band
    pairs = (
        Pair("references", "identity, placebo and floor are measured at all attacks, artists and seeds"),
        Pair("placebo", "the interval of its effect holds 0 under every attack (Bonferroni over all)"),
        Pair("floor", "each seed is within noise of 1 on the scale of the others"),
        Pair(
            "random noise",
            f"P at full strength between {band[0]:g} and {band[1]:g}" if band else "the suite names no band",
        ),
        Pair(
            "attacks", f"each mimicry has a signal on {LEAST_SHARE:.0%} of the artists, and on {MIN_ARTISTS} at least"
        ),
    )
    return Section("gold", "What makes a board official", pairs=pairs)
