from __future__ import annotations

import pytest
import tiny
import torch

from cloakbench.errors import UserError
from cloakbench.metrics import catalogue, generations, genres, judge, sets, spaces
from cloakbench.metrics.generations import MeasuredSet, measure, style_distances
from cloakbench.metrics.spaces import FeatureImages, NotKept

pytestmark = pytest.mark.usefixtures("stand_ins")


def unit(n, d, seed=0):
    return torch.nn.functional.normalize(torch.randn(n, d, generator=torch.Generator().manual_seed(seed)))


def subject(space="mini-clip", d=16, artist="swirl", **more):
    """Five generations and twelve references as features that lie well apart; there are no images."""
    feature_sets, references = unit(17, d).split([5, 12])
    return MeasuredSet(
        FeatureImages(None, by_space={space: feature_sets}),
        FeatureImages(None, by_space={space: references}),
        artist,
        **more,
    )


def test_style_distance_by_hand():
    #  angles to the references (1, 0) and (0, 1): mean cosine of (1, 0) is 1/2, of (0.6, 0.8) it is 0.7
    references = torch.tensor([[1.0, 0], [0, 1.0]])
    features = torch.tensor([[1.0, 0], [0.6, 0.8], [-1.0, 0]])
    assert style_distances(features, references).tolist() == pytest.approx([0.5, 0.3, 1.5])


def test_per_image_metrics_follow_the_judges_answers(monkeypatch):
    monkeypatch.setattr(judge.load(), "named_style", lambda _: ["stained glass", "swirl", "stained glass", "x", "y"])
    known = subject(artist="stained-glass")
    values = measure(["style-distance", "style-accuracy"], known).values
    assert values["style-accuracy"] == [1, 0, 1, 0, 0]
    known_features, references = (images.features("mini-clip") for images in (known.generated, known.references))
    assert values["style-distance"] == style_distances(known_features, references).tolist()


def test_what_the_judge_does_not_know_is_skipped_with_a_reason():
    measured = measure(["style-distance", "style-accuracy"], subject(artist="van-gogh"))
    assert list(measured.values) == ["style-distance"]
    assert measured.skipped == {"style-accuracy": "mini-clip does not know the style of 'van-gogh'"}


def test_set_metrics_are_on_their_networks_features():
    known = subject()
    x, y = (images.features("mini-clip").double().numpy() for images in (known.generated, known.references))
    low = judge.load().projection.double().numpy()
    values = measure(["frechet", "kid", "precision", "recall"], known).values
    assert values["frechet"] == [pytest.approx(sets.frechet(x @ low, y @ low), rel=1e-9)]
    assert values["kid"] == [pytest.approx(sets.kid(4 * x, 4 * y), rel=1e-9)]  # 16 features: length 4 each
    assert (values["precision"], values["recall"]) == ([sets.precision(x, y)], [sets.recall(x, y)])


@pytest.mark.parametrize(
    ("name", "space", "distance"),
    [("fid", "inception", sets.frechet), ("kid-inception", "inception", sets.kid), ("cmmd", "clip-l14-336", sets.cmmd)],
)
def test_published_distances_are_on_published_features(name, space, distance):
    known = subject(space)
    x, y = (images.features(space).double().numpy() for images in (known.generated, known.references))
    assert measure([name], known).values == {name: [distance(x, y)]}


SETS = ["frechet", "kid", "precision", "recall", "fid", "kid-inception", "cmmd"]
SPACE = {"fid": "inception", "kid-inception": "inception", "cmmd": "clip-l14-336"}


@pytest.mark.parametrize("name", SETS)
def test_half_precision_changes_a_set_metric_little(name):
    """What `rescore` computes from kept features, against the first measurement: relative, and to the sets' size."""
    d = 2048 if "inception" in SPACE.get(name, "") else 16
    space = SPACE.get(name, "mini-clip")
    feature_sets, references = unit(40, d, 1).split([28, 12])
    rounded = [features.half().float() for features in (feature_sets, references)]
    first, second = (
        catalogue.entry(name).function()(
            MeasuredSet(FeatureImages(None, by_space={space: x}), FeatureImages(None, by_space={space: y}))
        )
        for x, y in ((feature_sets, references), rounded)
    )
    assert second == [pytest.approx(first[0], rel=1e-3, abs=1e-3 if name == "kid" else 1e-4)]


@pytest.mark.parametrize("name", SETS)
def test_one_generation_makes_no_set(name):
    space = SPACE.get(name, "mini-clip")
    measured_set = MeasuredSet(
        FeatureImages(None, by_space={space: unit(1, 16)}), FeatureImages(None, by_space={space: unit(12, 16)})
    )
    measured = measure([name], measured_set)
    if name == "precision":  # a share of one image
        assert measured.values[name][0] in {0.0, 1.0}
    else:
        assert "expected at least" in measured.skipped[name]


def test_without_images_or_features_nothing_can_be_had():
    for name in ("niqe", "cmmd"):
        with pytest.raises(NotKept, match="expected the generated images, got none") as caught:
            catalogue.entry(name).function()(subject())
        assert "--keep images" in caught.value.hint


def test_a_space_is_looked_at_once(monkeypatch):
    asked = []
    space = spaces.Space("mini-clip", lambda images, device: asked.append((len(images), device)) or unit(2, 4))
    monkeypatch.setitem(spaces.SPACES, "mini-clip", space)
    pictures = FeatureImages([tiny.picture(0), tiny.picture(1)])
    assert pictures.features("mini-clip") is pictures.features("mini-clip")
    assert asked == [(2, "cpu")]


def test_clip_accuracy_is_whether_the_artists_genre_is_among_the_three_nearest(monkeypatch):
    labels = genres.load().labels
    texts = torch.eye(len(labels))

    class FakeClip:
        def text_features(self, asked):
            assert asked == list(labels)
            return texts

    monkeypatch.setattr(generations, "load_clip", lambda name, device: FakeClip())
    baroque = labels.index("Baroque")
    nearest = torch.zeros(3, len(labels))
    nearest[0, [baroque, 0, 1]] = torch.tensor([0.5, 0.6, 0.7])  # third
    nearest[1, [baroque, 0, 1, 2]] = torch.tensor([0.1, 0.6, 0.7, 0.3])  # fourth
    nearest[2, baroque] = 1.0
    measured_set = MeasuredSet(FeatureImages(None, by_space={"clip-b32": nearest}), FeatureImages(None), "rembrandt")
    assert measure(["clip-accuracy"], measured_set).values == {"clip-accuracy": [1.0, 0.0, 1.0]}
    nobody = MeasuredSet(measured_set.generated, measured_set.references, "vellmar")
    assert measure(["clip-accuracy"], nobody).skipped == {"clip-accuracy": "no genre is known of 'vellmar'"}


def test_a_mini_model_classifies_only_the_styles_it_has_learned(monkeypatch, model):
    asked = {}

    def likeliest(used, images, texts):
        asked.update(model=used, images=len(images), texts=texts)
        return [[4, 0, 1], [2, 3, 0]]

    monkeypatch.setattr(generations.classifier, "most_likely", likeliest)
    images = FeatureImages([tiny.picture(0), tiny.picture(1)])
    learned = generations.styles.names("training")
    known = MeasuredSet(images, FeatureImages(None), learned[4].replace(" ", "-"), lambda: model)
    assert measure(["diffusion-accuracy"], known).values == {"diffusion-accuracy": [1.0, 0.0]}
    assert asked["texts"] == [f"a painting in the style of {style}" for style in learned]
    held_out = MeasuredSet(images, FeatureImages(None), "vellmar", lambda: model)
    assert measure(["diffusion-accuracy"], held_out).skipped == {
        "diffusion-accuracy": "mini-a has not learned the style of 'vellmar'"
    }


@pytest.mark.parametrize("metric", catalogue.METRICS, ids=lambda metric: metric.name)
def test_every_metric_names_a_function(metric):
    assert callable(metric.function())


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UserError, match=r"expected a metric .*got 'psnrr'") as caught:
        catalogue.find("psnrr")
    assert "Did you mean 'psnr'?" in caught.value.hint


def test_metric_facts_are_complete():
    assert len(catalogue.BY_NAME) == len(catalogue.METRICS)
    for facts in (metric.facts for metric in catalogue.METRICS):
        assert facts.summary.endswith(".")
        assert facts.version >= 1
        assert facts.low is None or facts.high is None or facts.low < facts.high
    assert catalogue.versions(["psnr", "kid"]) == {
        "psnr": catalogue.find("psnr").version,
        "kid": catalogue.find("kid").version,
    }
