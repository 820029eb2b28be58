from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save

from cloakbench.metrics import judge
from cloakbench.metrics.spaces import SPACES
from cloakbench.store import features
from cloakbench.store.features import StoredFeatures
from cloakbench.store.store import CorruptFile, Store

KEPT = {
    "mini-clip": StoredFeatures(np.arange(12, dtype=np.float16).reshape(3, 4), "a" * 64),
    "inception": StoredFeatures(np.full((3, 2), 0.1, np.float16), "b" * 64),
}


def same(one, other):
    return one.keys() == other.keys() and all(
        one[space].network == other[space].network and np.array_equal(one[space].values, other[space].values)
        for space in one
    )


def test_what_is_written_is_read(tmp_path):
    store = Store(tmp_path)
    assert store.read_features("k" * 64, "here") == {}
    store.write_features("k" * 64, "here", KEPT)
    assert same(store.read_features("k" * 64, "here"), KEPT)
    assert store.read_features("k" * 64, "elsewhere") == {}


def test_equal_features_are_equal_bytes():
    assert features.pack(KEPT) == features.pack(dict(reversed(KEPT.items())))


def test_other_tools_can_read_the_file(tmp_path):
    from safetensors.numpy import load_file

    (tmp_path / "x.safetensors").write_bytes(features.pack(KEPT))
    stored_tensors = load_file(tmp_path / "x.safetensors")
    assert {name: values.dtype for name, values in stored_tensors.items()} == {
        "mini-clip": np.float16,
        "inception": np.float16,
    }


def features_of(values):
    """A file of a stranger's values whose digest is right."""
    arrays, networks = {"mini-clip": values}, {"mini-clip": "a" * 64}
    document = {"networks": networks, "sha256": features._digest(arrays, networks)}
    return save(arrays, {features.METADATA: json.dumps(document)})


@pytest.mark.parametrize(
    "damage", ["cut", "changed", "renamed network", "other file", "empty", "nested", "other types", "one axis"]
)
def test_damage_is_found(tmp_path, damage):
    data = features.pack(KEPT)
    changed = {
        "cut": data[:-3],
        "changed": data[:-1] + bytes([data[-1] ^ 1]),
        "renamed network": data.replace(b"a" * 64, b"c" * 64),
        "other file": b"PNG and so on, long enough to be read",
        "empty": b"",
        "nested": (10**5).to_bytes(8, "little") + b"[" * 10**5,
        "other types": features_of(np.ones((2, 3), np.int64)),
        "one axis": features_of(np.ones(3, np.float16)),
    }[damage]
    store = Store(tmp_path)
    store.write_features("k" * 64, "here", KEPT)
    store.features_path("k" * 64, "here").write_bytes(changed)
    with pytest.raises(CorruptFile, match=r"the features .* are damaged"):
        store.read_features("k" * 64, "here")


@pytest.mark.usefixtures("stand_ins")
def test_a_run_keeps_the_judges_features_of_every_cell(good_run):
    where = good_run.environment.env_class
    for cell in good_run.cells:
        [(space, kept)] = good_run.store.read_features(cell.keys["generate"], where).items()
        assert (space, kept.values.dtype, kept.network) == ("mini-clip", np.float16, SPACES["mini-clip"].digest)
        pixels, _ = good_run.store.read_images(cell.keys["generate"], where)
        assert np.allclose(kept.values, judge.load().features(pixels).numpy(), atol=1e-3)
    assert len({good_run.store.features_path(c.keys["generate"], where) for c in good_run.cells}) == len(good_run.cells)
