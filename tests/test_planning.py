"""`cloakbench plan`: sums over what is known, and plain words about what is not."""

from __future__ import annotations

import json

import pytest

from cloakbench.runs import forecast
from cloakbench.runs import session as sessions
from cloakbench.runs.choice import Choice
from tests.running import run


@pytest.fixture
def session(stand_ins, tiny_suite, tmp_path):
    return sessions.plan(Choice(str(tiny_suite), ["placebo"], limit=2), tmp_path / "store")


def lines(plan):
    return {(line.stage, line.what): line for line in plan.lines}


def test_without_records_everything_is_said_to_be_unknown(session, monkeypatch, tmp_path):
    monkeypatch.setattr(forecast, "REFERENCES", tmp_path / "no references")
    plan = forecast.forecast(session)
    assert (plan.cells, plan.missing, plan.hours, plan.peak_gib, plan.disk_gib) == (7, 2, {1: 0.0}, None, None)
    assert plan.unknown == ["protect identity", "personalise dreambooth", "generate dreambooth", "measure"]
    for line in plan.lines:
        assert line.unknown == line.runs


def test_what_is_recorded_is_summed_and_what_is_made_costs_nothing(session, tiny_suite):
    run(session)
    again = sessions.plan(Choice(str(tiny_suite), ["placebo"]), session.store.root)
    plan = forecast.forecast(again, workers=3)
    plan_lines = lines(plan)
    assert plan.missing == 5
    assert ("protect", "identity") not in plan_lines  # its images lie in the store
    assert (plan_lines["protect", "placebo"].unknown, plan_lines["protect", "placebo"].rough) == (
        0,
        1,
    )  # as long as identity's
    assert plan.rough[0].startswith("protect placebo")
    assert plan_lines["personalise", "dreambooth"].unknown == 0
    assert plan_lines["personalise", "dreambooth"].disk_mib == 0.0
    assert plan_lines["generate", "dreambooth"].disk_mib > 0
    assert plan.hours[1] == pytest.approx(sum(line.hours or 0 for line in plan.lines))
    assert plan.hours[3] == pytest.approx(plan.hours[1] / 3)
    assert plan.peak_gib > 0.05
    [store] = [source for source in plan.sources if source.name == str(session.store.root)]
    assert (store.records, store.used) == (2, 2)
    whole = forecast.forecast(again, is_whole=True)
    assert whole.missing == 7
    assert lines(whole)["protect", "identity"].runs == 1


def test_costs_of_other_devices_and_settings_are_rough_and_named(session):
    plan = forecast.forecast(session)  # the committed records are of other models and images
    assert plan.unknown == []
    assert plan.rough == ["protect identity", "personalise dreambooth", "generate dreambooth", "measure"]
    assert plan.hours[1] > 0
    for line in plan.lines:
        assert line.rough == line.runs


def test_the_search_for_one_strength_is_not_shared():
    forecast_lines = [forecast.ForecastLine("calibrate", "x", 2, 0, 7200.0, 4.0, None, None, None)]
    forecast_lines.append(forecast.ForecastLine("protect", "x", 1, 0, 3600.0, 1.0, None, None, None))
    assert [forecast._hours(forecast_lines, workers) for workers in (1, 2, 4)] == [5.0, 2.5, 2.0]


@pytest.mark.usefixtures("session")
def test_the_command_tells_it_and_gives_json(cloakbench, tiny_suite, tmp_path):
    arguments = (tiny_suite, "--protection", "placebo", "--store", tmp_path / "store", "--workers", 2)
    result = cloakbench("plan", *arguments, "--json")
    assert result.code == 0
    hours = json.loads(result.out)["hours"]
    assert hours["1"] > hours["2"] > 0
    plain = cloakbench("plan", *arguments)
    assert "7 of 7 cells to run" in plain.out
    assert "rough, from records of other settings or other devices: protect identity, placebo" in plain.out
    assert "unknown" not in plain.out
    assert not (tmp_path / "store").exists()
    wrong = cloakbench("plan", tiny_suite, "--protection", "placebo", "--workers", "0")
    assert (wrong.code, "--workers of 1 or more, got 0" in wrong.err) == (2, True)
