from __future__ import annotations

import pytest
import tiny
import torch
from PIL import Image

from cloakbench.errors import UserError
from cloakbench.metrics import generations, imitation, measuring
from cloakbench.metrics.generations import MeasuredSet
from cloakbench.metrics.spaces import FeatureImages
from cloakbench.models.mini.viewer import STYLE_WIDTH, distance_to_set, distance_within, style_difference


def pictures(count, first=0):
    return [tiny.picture(first + n) for n in range(count)]


def unit(*angles):
    """Vectors of unit length at angles in degrees."""
    radians = torch.deg2rad(torch.tensor(angles))
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def test_the_distance_to_a_set_is_the_mean_over_the_three_nearest():
    references = unit(0.0, 90.0, 180.0, 180.0)
    assert distance_to_set(unit(0.0), references).tolist() == pytest.approx([(2**0.5 + 2 + 0.01) / 3], abs=0.01)


def test_references_have_no_difference_and_the_bank_has_one():
    references, bank = unit(0.0, 10.0, 20.0, 30.0), unit(170.0, 180.0, 190.0)
    own = distance_to_set(references, references).mean()
    assert style_difference(references, references, bank).mean() < float(own) < float(distance_within(references))
    assert style_difference(bank, references, bank).mean().item() == pytest.approx(1, abs=1e-5)


def test_a_style_that_other_styles_share_divides_by_the_least_contrast():
    alike = unit(0.0, 10.0, 20.0)
    assert style_difference(alike, alike, alike).isfinite().all()


def test_features_do_not_depend_on_company_and_take_any_size(stand_ins):
    sizes = [tiny.picture(0), tiny.picture(1, 64, 64), tiny.picture(2, 93, 131)]
    together = imitation.features(sizes)
    assert together.shape == (3, STYLE_WIDTH + 1)
    assert torch.allclose(together[:, :-1].norm(dim=1), torch.ones(3), atol=1e-5)
    assert torch.allclose(imitation.features(sizes[1:2], chunk=1), together[1:2], atol=1e-5)


def test_the_distance_is_large_where_either_part_fails():
    soundness, style = torch.tensor([1.0, 0.0, 1.0, 0.5]), torch.tensor([1.0, 1.0, 0.0, 0.5])
    assert imitation.Likeness(style, soundness).distance.tolist() == [0.0, 1.0, 1.0, 0.75]


def test_the_parts_make_the_distance(stand_ins):
    subject = MeasuredSet(FeatureImages(pictures(5)), FeatureImages(pictures(4, 9)))
    values = generations.measure(["imitation-distance", "style", "soundness"], subject).values
    parts = zip(values["style"], values["soundness"], strict=True)
    assert values["imitation-distance"] == pytest.approx([1 - style * sound for style, sound in parts], abs=1e-6)
    for column in values.values():
        for value in column:
            assert 0 <= value <= 1


def test_one_reference_is_too_few(stand_ins):
    features = imitation.features(pictures(2))
    with pytest.raises(UserError, match="at least 2 references, got 1"):
        imitation.likeness(features, features[:1])


@pytest.mark.parametrize(
    ("prompts", "reason"),
    [
        ((), "got 0 texts"),
        (("a painting of a boat",), "got 1 texts"),
        (("a painting", "a boat"), "got 0"),
        (("a boat by a house", "a boat"), "got 2"),
    ],
)
def test_subject_is_skipped_where_nobody_knows_what_was_asked_for(stand_ins, prompts, reason):
    subject = MeasuredSet(FeatureImages(pictures(2)), FeatureImages(None), prompts=prompts)
    assert reason in generations.measure(["subject"], subject).skipped["subject"]


def test_subject_is_the_nearest_text_and_needs_no_references(stand_ins):
    names = ("boat", "house", "tree", "mountain", "fish", "flower", "bird", "face", "vase", "castle")
    image = pictures(1)
    values = []
    for name in names:
        subject = MeasuredSet(FeatureImages(image), FeatureImages(None), prompts=[f"a painting of a {name} by sks"])
        values += generations.measure(["subject"], subject).values["subject"]
    assert sorted(values) == [0.0] * 9 + [1.0]


def test_measure_gives_all_parts_with_words(stand_ins, tmp_path):
    for folder, count in (("generated", 3), ("references", 4)):
        (tmp_path / folder).mkdir()
        for n in range(count):
            Image.fromarray(tiny.picture(n)).save(tmp_path / folder / f"boat-{n}.png")
    names = ["imitation-distance", "style", "soundness", "subject"]
    results = measuring.measure_paths(names, tmp_path / "generated", tmp_path / "references")
    assert [result.metric for result in results] == names
    for result in results:
        assert 0 <= result.value <= 1
        assert result.n == 3
        assert len(result.meaning) > 20
