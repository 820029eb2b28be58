"""One site of several boards."""

from __future__ import annotations

import pytest
import synthetic
from seen import SeenPage

from cloakbench.errors import UserError
from cloakbench.store.reading import export_reference
from cloakbench_leaderboards.site import boards


def test_every_reference_folder_has_its_board_and_each_page_leads_back(tmp_path):
    facts, records = synthetic.demonstration(artists=6, seeds=1)
    synthetic.save(tmp_path / "store", facts, records)
    for name in ("new", "old"):
        export_reference(tmp_path / "store", None, tmp_path / "references" / name)
    (tmp_path / "references" / "old" / "notice.txt").write_text("Superseded <b>by</b> new.")
    (tmp_path / "references" / "notes").mkdir()
    page = boards.build(tmp_path / "references", tmp_path / "site", unofficial=True)
    seen = SeenPage(page.read_text())
    assert not seen.broken
    links = []
    for tag, attrs in seen.tags:
        if tag == "a":
            links.append(attrs["href"])
    assert links == ["new/index.html", "old/index.html"]
    assert "Superseded <b>by</b> new." in seen.words
    for deep in ("new/index.html", "old/attacks/jpeg.html"):
        targets = []
        for tag, attrs in SeenPage((page.parent / deep).read_text()).tags:
            if tag == "a":
                targets.append(attrs["href"])
        assert page.resolve() in {((page.parent / deep).parent / target).resolve() for target in targets}


def test_a_folder_without_reference_folders_is_refused(tmp_path):
    with pytest.raises(UserError, match="reference folders"):
        boards.build(tmp_path, tmp_path / "site")
