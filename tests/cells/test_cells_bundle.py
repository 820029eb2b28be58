"""What travels to where a cell runs, and back."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
import tiny

from cloakbench.errors import InfrastructureError
from cloakbench.execute.bundle import pack_for, pack_new, shared, unpack
from cloakbench.schemas.record import Calibration
from cloakbench.store.store import Store

WHERE = "class"


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def of(attack, **changes):
    cells = tiny.planner(**changes).cells([tiny.entry("one")], [tiny.artist()])
    return next(cell for cell in cells if cell.attack.name == attack)


def test_a_cell_takes_what_is_made_of_its_images_and_nothing_else(store, tmp_path):
    cell = of("noise")
    for key in (cell.keys["protect"], cell.keys["countermeasure"], cell.keys["generate"]):
        store.write_images(key, WHERE, [tiny.picture(1)], {})
    store.write_images(cell.keys["protect"], "another class", [tiny.picture(1)], {})
    (store.images_path(cell.keys["protect"], WHERE) / ".partial-x").write_bytes(b"half")
    bundle = pack_for(cell, store, WHERE)
    assert {PurePosixPath(name).parts[2] for name in bundle} == {cell.keys["protect"], cell.keys["countermeasure"]}
    assert sorted(PurePosixPath(name).name for name in bundle) == ["000.png", "000.png"] + ["manifest.json"] * 2
    there = Store(tmp_path / "there")
    unpack(bundle, there)
    for key in shared(cell):
        [pixels], _ = there.read_images(key, WHERE)
        assert (pixels == tiny.picture(1)).all()
    assert pack_new(there, bundle) == {}


def test_the_search_for_a_strength_goes_along(store):
    matching = {"metric": "psnr", "targets": [40, 30, 20], "calibrated": [30], "tolerance": 1, "artists": ["ossian"]}
    cells = tiny.planner(matching=matching).cells([tiny.entry("one")], [tiny.artist()])
    [cell, *_] = [cell for cell in cells if cell.target is not None]
    store.write_calibration(cell.keys["calibrate"], WHERE, Calibration(tries=[(1.0, {"linf": 30.5})]))
    [name] = pack_for(cell, store, WHERE)
    assert name.startswith("calibrations/")


def test_what_is_new_comes_back_with_the_record_last_and_images_before_their_manifest(store, tmp_path, monkeypatch):
    cell = of("noise")
    store.write_images(cell.keys["protect"], WHERE, [tiny.picture(1), tiny.picture(2)], {})
    known = pack_for(cell, store, WHERE)
    store.write_images(cell.keys["countermeasure"], WHERE, [tiny.picture(3)], {})
    store.write_adapter(cell.keys["personalise"], WHERE, b"adapter")
    store.write_file(PurePosixPath(f"records/{cell.key[:2]}/{cell.key}/{WHERE}.json"), b"{}")
    bundle = pack_new(store, known)
    assert len(bundle) == 4
    written, write = [], Store.write_file
    monkeypatch.setattr(Store, "write_file", lambda *call: (written.append(call[1].name), write(*call)))
    unpack(bundle, Store(tmp_path / "driver"))
    assert written[-2:] == ["manifest.json", f"{WHERE}.json"]
    assert sorted(written[:2]) == ["000.png", f"{WHERE}.safetensors"]


@pytest.mark.parametrize("name", ["/etc/x", "../x", "images/../../x"])
def test_nothing_is_written_outside(store, name):
    with pytest.raises(InfrastructureError, match="expected a path below the store"):
        unpack({name: b""}, store)


def test_editing_cells_share_the_edits_of_the_clean_images(stand_ins):
    import tomllib

    plan = tiny.planner(**tomllib.loads(tiny.WHOLE))
    cells = plan.cells([tiny.entry("one"), tiny.entry("two")], [tiny.artist()])
    [edit_keys, two] = [shared(cell) for cell in cells if cell.attack.name == "edit"]
    assert len(edit_keys & two) == 1
