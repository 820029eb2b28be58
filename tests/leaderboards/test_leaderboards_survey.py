"""The survey of viewers: which pairs it shows, what its page saves, and what the answers give."""

from __future__ import annotations

import json

import pytest
import synthetic
from PIL import Image
from seen import material_of
from synthetic import JPEG, PLAIN, record
from test_leaderboards_pictures import with_images

from cloakbench.errors import UserError
from cloakbench_leaderboards.site import site
from cloakbench_leaderboards.survey import page
from cloakbench_leaderboards.survey.answers import evaluate

ARTISTS = [f"artist{n}" for n in range(4)]


@pytest.fixture
def survey(tmp_path):
    facts, records = with_images(tmp_path / "store", ARTISTS, (0.5, 1.0), 64, attack=PLAIN)
    items = list(page.pages(material_of(facts, records, tmp_path / "store")))
    return items[0].context["island"], {item.path: item for item in items[1:]}


def test_each_artist_is_shown_once_with_the_strongest_images_and_once_with_the_base_model(survey):
    island, assets = survey
    key = json.loads(assets[page.KEY].content())
    assert sorted((row["kind"], row["artist"]) for row in key["pairs"]) == sorted(
        (kind, artist) for kind in ("floor", "protection") for artist in ARTISTS
    )
    assert [row["pair"] for row in key["pairs"]] == [question["pair"] for question in island["pairs"]]
    for word in ("clean", "floor", "protection"):
        assert word not in json.dumps(island)


def test_pictures_are_single_tiles_and_both_sides_are_of_the_same_seed(survey, tmp_path):
    island, assets = survey
    for question in island["pairs"]:
        sizes = set()
        for side in "ab":
            (tmp_path / "picture.webp").write_bytes(assets[f"survey/{question[side]}"].content())
            with Image.open(tmp_path / "picture.webp") as image:
                sizes.add(image.size)
        assert sizes == {(64, 64)}


def answers(path, key, viewer, choose):
    """Writes what a viewer saves who answers both questions by `choose(row)`."""
    lines = ["survey,viewer,pair,style,quality"]
    for row in key["pairs"]:
        side = choose(row)
        lines.append(f"{key['survey']},{viewer},{row['pair']},{side},{side}")
    path.write_text("\n".join(lines) + "\n")
    return path


def other(row):
    return "b" if row["clean"] == "a" else "a"


def test_the_rate_counts_preferences_and_viewers_who_cannot_see_are_left_out(survey, tmp_path):
    key = json.loads(survey[1][page.KEY].content())
    (tmp_path / "key.json").write_text(json.dumps(key))
    always = answers(tmp_path / "1.csv", key, "one", lambda row: row["clean"])
    half = answers(
        tmp_path / "2.csv",
        key,
        "two",
        lambda row: row["clean"] if row["kind"] == "floor" or row["artist"] < "artist2" else other(row),
    )
    blind = answers(tmp_path / "3.csv", key, "three", other)
    result = evaluate([always, half, blind], tmp_path / "key.json")
    assert result.inattentive == ["three"]
    rates = {(rate.kind, rate.question): rate for rate in result.rates}
    assert rates["protection", "style"].rate == pytest.approx(6 / 8)
    assert (rates["protection", "style"].answers, rates["protection", "style"].viewers) == (8, 2)
    # Wilson 1927, by its formula: (p + z2/2n -+ z sqrt(p(1-p)/n + z2/4n2)) / (1 + z2/n)
    z2, n, p = 1.959964**2, 8, 0.75
    reach = (z2 * (p * (1 - p) / n + z2 / (4 * n * n))) ** 0.5
    assert rates["protection", "style"].low == pytest.approx((p + z2 / (2 * n) - reach) / (1 + z2 / n), abs=1e-6)
    assert rates["floor", "quality"].rate == 1


@pytest.mark.parametrize(
    ("text", "word"),
    [("pair,style\n", "survey"), ("survey,viewer,pair,style,quality\nother,v,p,a,b\n", "'other'"), ("", "answers")],
)
def test_answers_that_do_not_belong_are_refused(survey, tmp_path, text, word):
    (tmp_path / "key.json").write_bytes(survey[1][page.KEY].content())
    (tmp_path / "answers.csv").write_text(text)
    with pytest.raises(UserError, match=word):
        evaluate([tmp_path / "answers.csv"], tmp_path / "key.json")


def test_a_store_without_pictures_is_refused(tmp_path):
    suite = synthetic.suite(ARTISTS, (PLAIN, JPEG), (1.0,))
    records = [record("identity", artist, 0.5, PLAIN, None) for artist in ARTISTS]
    with pytest.raises(UserError, match="pictures"):
        list(page.pages(material_of(synthetic.facts(suite), records, tmp_path)))


def test_a_viewer_answers_in_a_browser_and_the_saved_file_is_read(browser, tmp_path):
    facts, records = with_images(tmp_path / "store", ARTISTS, (1.0,), 64, attack=PLAIN)
    material = material_of(facts, records, tmp_path / "store")
    site.write(material, tmp_path / "site", (*site.KINDS, page.pages))
    opened, faults = browser.new_page(), []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.goto((tmp_path / "site" / page.PATH).as_uri())
    for done in range(2 * len(ARTISTS)):
        assert opened.inner_text(".progress").startswith(f"{done} of 8")
        for question in range(2):
            opened.locator(".questions p").nth(question).get_by_role("button", name="Left").click()
    with opened.expect_download() as download:
        opened.click(".save")
    download.value.save_as(tmp_path / "answers.csv")
    opened.close()
    assert faults == []
    result = evaluate([tmp_path / "answers.csv"], tmp_path / "site" / page.KEY)
    assert result.inattentive or sum(rate.answers for rate in result.rates if rate.question == "style") == 8
