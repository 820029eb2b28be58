"""Viewers' answers: how often the imitation of clean images wins, with an interval, compared with the distances."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from scipy.stats import binomtest

from cloakbench.errors import UserError
from cloakbench.user_files import read_text

COLUMNS = ["survey", "viewer", "pair", "style", "quality"]
QUESTIONS = ("style", "quality")
ATTENTION = 0.75
"""Share of the pairs with the base model in which a viewer has to find the imitation; others are left out."""


@dataclass(frozen=True, slots=True)
class SurveyRate:
    """How often viewers preferred the imitation of clean images to that of one entry's images.

    Attributes:
        protection: The entry.
        kind: `protection`, or the control `floor` or `placebo`.
        question: `style` (which is more like the artist) or `quality` (which is the better picture).
        answers: How many answers there are.
        viewers: Of how many viewers.
        rate: Share in [0, 1] of answers that prefer the imitation of clean images; 0.5 where viewers see no difference.
        low: Lower limit of Wilson's 95 % interval, which takes the answers of one viewer as independent.
        high: Its upper limit.
        distance: Mean distance of the entry's imitations to the artist, less that of the clean ones.
    """

    protection: str
    kind: str
    question: str
    answers: int
    viewers: int
    rate: float
    low: float
    high: float
    distance: float


@dataclass(frozen=True, slots=True)
class SurveyResult:
    """The rates, and the viewers who did not tell the base model's pictures from imitations."""

    rates: list[SurveyRate]
    inattentive: list[str]


def evaluate(files: Iterable[Path], key: Path) -> SurveyResult:
    """Returns the rates of all answers in CSV files.

    Args:
        files: What the page of the survey saved, one file per viewer.
        key: The `key.json` of the same survey.

    Raises:
        UserError: A file cannot be read, has other columns, or belongs to another survey.
    """
    pairs, survey = _key(key)
    answers = pd.concat(map(_answers, files, itertools.repeat(survey)), ignore_index=True)
    doubled = answers.duplicated(["viewer", "pair"])
    merged = answers[~doubled].merge(pairs, on="pair", validate="many_to_one")
    inattentive = _inattentive(merged)
    attentive = merged[~merged["viewer"].isin(inattentive)]
    rates: list[SurveyRate] = []
    for (kind, protection), group in attentive.groupby(["kind", "protection"]):
        for question in QUESTIONS:
            rates += _rate(str(kind), str(protection), question, group)
    return SurveyResult(rates, inattentive)


def _rate(kind: str, protection: str, question: str, group: pd.DataFrame) -> Sequence[SurveyRate]:
    answered = group[group[question].isin(["a", "b"])]
    if answered.empty:
        return []
    wins = int((answered[question] == answered["clean"]).sum())
    interval = binomtest(wins, len(answered)).proportion_ci(method="wilson")
    distance = float((answered["distance"] - answered["clean_distance"]).mean())
    counts = len(answered), int(answered["viewer"].nunique())
    numbers = wins / len(answered), float(interval.low), float(interval.high)
    return [SurveyRate(protection, kind, question, *counts, *numbers, distance)]


def _inattentive(answers: pd.DataFrame) -> list[str]:
    """Returns the viewers who found the imitation in too few of the pairs with the base model."""
    floor = answers[(answers["kind"] == "floor") & answers["style"].isin(["a", "b"])]
    shares = (floor["style"] == floor["clean"]).groupby(floor["viewer"]).mean()
    return sorted(str(viewer) for viewer in shares.index[shares < ATTENTION])


def _key(path: Path) -> tuple[pd.DataFrame, str]:
    try:
        content = json.loads(read_text(path))
        return pd.DataFrame(content["pairs"]), str(content["survey"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"expected the key of a survey in {path}, got something else", "Name its key.json.") from error


def _answers(path: Path, survey: str) -> pd.DataFrame:
    read_text(path)  # a missing or unreadable file has the same message as everywhere
    try:
        answers = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"expected a table of answers in {path}, got: {error}", "Leave the file out.") from error
    missing = [name for name in COLUMNS if name not in answers.columns]
    if missing:
        raise UserError(f"expected the column {missing[0]} in {path}, got none", "Leave the file out.")
    others = sorted(set(answers["survey"]) - {survey})
    if others:
        raise UserError(
            f"expected answers to the survey {survey} in {path}, got answers to {others[0]!r}",
            "Name the key.json of that survey, or leave the file out.",
        )
    return answers
