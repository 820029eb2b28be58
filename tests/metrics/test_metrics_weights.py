from __future__ import annotations

import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import Mock

import pytest

from cloakbench.errors import UserError
from cloakbench.metrics import catalogue, weights
from cloakbench.metrics.metric import Metric
from cloakbench.metrics.weights import WeightFile
from cloakbench.models import registry

QUALITY = {metric.name for metric in catalogue.METRICS if metric.facts.level == "quality"}
VGG, DISTS = "vgg16-397923af.pth", "DISTS_weights-f5e65c96.pth"


@pytest.fixture(autouse=True)
def fresh_digests():
    """Digests are remembered by path, and tests change files."""
    registry.file_digest.cache_clear()


def put(name, data=b"some weights"):
    path = weights.find(name).path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


@pytest.fixture
def known(monkeypatch):
    """A file of which the whole digest is known, and what it holds."""
    data = b"published"
    file = WeightFile("known.pth", "pyiqa", "MIT", "a test", "https://x.invalid/k", hashlib.sha256(data).hexdigest())
    monkeypatch.setattr(weights, "FILES", (*weights.FILES, file))
    facts = catalogue.find("dists").model_copy(update={"name": "known", "weights": ("known.pth",)})
    monkeypatch.setitem(catalogue.BY_NAME, "known", Metric(facts, "quality:dists"))
    return file, data


def test_every_file_that_a_metric_names_is_known():
    assert {name for metric in catalogue.METRICS for name in metric.facts.weights} <= {
        file.name for file in weights.FILES
    }


def test_every_file_says_where_it_is_from():
    for file in weights.FILES:
        assert file.licence
        assert file.origin
        assert bool(file.url) == (file.folder != weights.PACKAGE)
        assert re.fullmatch(r"([0-9a-f]{8}|[0-9a-f]{64})?", file.sha256)
        assert len(file.sha256) != 8 or file.sha256 in file.name


@pytest.mark.parametrize("name", [m.name for m in catalogue.METRICS if not m.facts.weights])
def test_a_formula_needs_nothing(name, no_weights):
    assert (weights.needed(name), weights.missing(name), weights.obtain(name)) == ([], "", "")


def test_what_is_missing_is_named_with_its_place(no_weights):
    put(VGG)
    assert weights.missing("dists") == f"weights missing: {DISTS} (expected in $TORCH_HOME/hub/pyiqa)"


@pytest.mark.parametrize("variable", ["TORCH_HOME", "XDG_CACHE_HOME"])
def test_files_are_looked_for_where_torch_does(variable, monkeypatch, tmp_path):
    import torch

    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert str(weights.torch_hub()) == torch.hub.get_dir()


def test_a_file_is_judged_by_the_digits_of_its_name(no_weights):
    assert weights.state(weights.find(VGG)) == "missing"
    put(VGG)
    assert weights.state(weights.find(VGG)) == "repacked"


def test_a_file_with_a_known_digest_has_to_have_it(known, no_weights):
    file, data = known
    put("known.pth", data)
    assert (weights.state(file), weights.obtain("known")) == ("ok", "")
    registry.file_digest.cache_clear()
    put("known.pth", b"other")
    assert weights.state(file) == "wrong"
    assert weights.obtain("known").startswith("weights damaged: known.pth in $TORCH_HOME/hub/pyiqa")


@pytest.fixture
def served(monkeypatch, no_weights):
    """Returns a function that serves bytes by HTTP on this machine and makes them the file `known.pth`."""
    requests, servers = [], []

    def serve(data, sha256):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                requests.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/known.pth"
        file = WeightFile("known.pth", "pyiqa", "MIT", "a test", url, sha256)
        facts = catalogue.find("dists").model_copy(update={"name": "known", "weights": ("known.pth",)})
        monkeypatch.setattr(weights, "FILES", (*weights.FILES, file))
        monkeypatch.setitem(catalogue.BY_NAME, "known", Metric(facts, "quality:dists"))
        return file, requests

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("digits", [64, 8, 0])
def test_a_missing_file_is_downloaded_once(served, monkeypatch, digits):
    data = b"published"
    file, requests = served(data, hashlib.sha256(data).hexdigest()[:digits])
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert (weights.obtain("known"), weights.obtain("known")) == ("", "")
    assert requests == ["/known.pth"]
    assert file.path.read_bytes() == data


@pytest.mark.parametrize("digits", [64, 8])
def test_another_file_than_the_published_one_is_refused_and_removed(served, monkeypatch, digits):
    file, requests = served(b"other", hashlib.sha256(b"published").hexdigest()[:digits])
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert "could not be downloaded" in weights.obtain("known")
    assert requests == ["/known.pth"]
    assert not file.path.exists()


def test_nothing_is_downloaded_offline(served, monkeypatch):
    file, requests = served(b"published", "")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "known.pth" in weights.obtain("known")
    assert (requests, file.path.exists()) == ([], False)


def test_a_failed_download_is_a_reason(known, no_weights, monkeypatch):
    monkeypatch.setattr("pooch.retrieve", Mock(side_effect=OSError("no route")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    assert weights.obtain("known") == "weights missing: known.pth could not be downloaded: no route"


def test_metrics_are_sorted_out_before_a_run(no_weights):
    availability = weights.find_usable(["psnr", "pieapp"])
    assert availability.usable == {"psnr"}
    assert list(availability.skipped) == ["pieapp"]


def test_an_official_run_stops_without_weights(no_weights):
    weights.require(["psnr", "linf"])
    with pytest.raises(UserError, match=rf"none for dists: .*{DISTS}.*; pieapp: (?s:.*)TORCH_HOME"):
        weights.require(["pieapp", "psnr", "dists"])


def test_the_digest_in_keys_is_the_published_one_until_another_file_lies_there(known, no_weights):
    file, data = known
    assert weights.digests(["known", "psnr", "mini-lpips"]) == {"known.pth": file.sha256}
    put("known.pth", data)
    assert weights.digests(["known"]) == {"known.pth": file.sha256}
    registry.file_digest.cache_clear()
    put("known.pth", b"other")
    assert weights.digests(["known"]) == {"known.pth": hashlib.sha256(b"other").hexdigest()}


@pytest.mark.usefixtures("assets")
def test_the_real_files_are_what_they_are_said_to_be():
    states = {}
    for file in weights.FILES:
        if file.folder == "pyiqa" and file.is_here:
            states[file.name] = weights.state(file)
    assert {name: states[name] for name in states if name.startswith(("LPIPS", "DISTS"))} == {
        DISTS: "ok",
        "LPIPS_v0.1_alex-df73285e.pth": "ok",
        "LPIPS_v0.1_vgg-a78928a0.pth": "ok",
    }
    for name in ("dists", "lpips-alex", "lpips-vgg"):
        assert not weights.missing(name)
    assert QUALITY - weights.find_usable(QUALITY).usable == {"pieapp", "topiq-fr"}


def test_weights_are_looked_up_without_torch(python):
    look_up = "from cloakbench.metrics import weights; weights.find_usable(['psnr'])"
    code = f"import sys; {look_up}; print('torch' in sys.modules)"
    assert python(code).strip() == "False"
