from __future__ import annotations

import pytest
import torch

from cloakbench.datasets.artists import MINI
from cloakbench.metrics import genres
from cloakbench.suites import load as suites


def test_there_are_39_labels_and_three_count():
    known = genres.load()
    assert len(known.labels) == len(set(known.labels)) == 39
    assert known.top == 3


def test_texts_are_made_of_the_labels_as_impress_writes_them():
    known = genres.load()
    assert known.clip_texts[3] == "Post_Impressionism"
    assert known.diffusion_texts[3] == "A Post_Impressionism style artwork"
    assert known.clip_texts[31] == "Comics"


def test_every_artist_of_the_suite_painting_has_a_genre():
    known = genres.load()
    assert set(suites.load("painting").artists) <= set(known.artists)
    assert not {path.name for path in MINI.iterdir()} & set(known.artists)


def test_a_genre_that_is_no_label_is_refused(tmp_path):
    path = tmp_path / "genres.toml"
    path.write_text(genres.FILE.read_text().replace('rembrandt = "Baroque"', 'rembrandt = "Barock"'))
    with pytest.raises(ValueError, match=r"among the labels of .*, got Barock"):
        genres.load(path)


def test_the_nearest_texts_count():
    texts = torch.eye(4)
    features = torch.tensor([[0.9, 0.1, 0.5, 0.2], [0.1, 0.9, 0.5, 0.2]])
    assert genres.named(features, texts, 0, 1) == [True, False]
    assert genres.named(features, texts, 3, 2) == [False, False]
    assert genres.named(features, texts, 3, 3) == [True, True]
    assert genres.named(features, texts, 0, 9) == [True, True]
