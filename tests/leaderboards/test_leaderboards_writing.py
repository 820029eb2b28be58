from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cloakbench.errors import UserError
from cloakbench_leaderboards.parts.page import slug
from cloakbench_leaderboards.site import writing
from cloakbench_leaderboards.site.writing import File, publish


def plan(**contents):
    return [File(name.replace("_", "/") + ".html", text.encode) for name, text in contents.items()]


def seen(folder):
    return {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*.html")}


def test_a_new_site_takes_the_place_of_the_old_one_and_stale_files_go(tmp_path):
    out = tmp_path / "site"
    assert publish(out, plan(index="a", attacks_jpeg="b", gone="c")) == 3
    assert publish(out, plan(index="a", attacks_jpeg="new")) == 2
    assert seen(out) == {"index.html": "a", "attacks/jpeg.html": "new"}
    assert [file.name for file in tmp_path.iterdir()] == ["site"]


def test_images_are_copied(tmp_path):
    image = tmp_path / "image.webp"
    for content in (b"picture", b"another"):
        image.write_bytes(content)
        publish(tmp_path / "site", [File("images/x.webp", image)])
        assert (tmp_path / "site/images/x.webp").read_bytes() == content


def test_a_site_of_an_earlier_version_is_replaced_whole(tmp_path):
    out = tmp_path / "site"
    publish(out, plan(index="old", gone="old"))
    (out / "manifest.json").write_text('{"index.html": ["", ""], "gone.html": ["", ""]}')
    publish(out, plan(index="new"))
    assert seen(out) == {"index.html": "new"}


def test_other_peoples_files_stay(tmp_path):
    (tmp_path / "site/.git").mkdir(parents=True)
    (tmp_path / "site/.git/HEAD").write_text("main")
    (tmp_path / "site/CNAME").write_text("board.example")
    for _ in range(2):
        publish(tmp_path / "site", plan(index="a"))
    assert (tmp_path / "site/.git/HEAD").read_text() == "main"
    assert (tmp_path / "site/CNAME").read_text() == "board.example"


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "a//b", "a\\b", "manifest.json"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path, path):
    with pytest.raises(ValueError, match="path"):
        publish(tmp_path / "site", [File(path, bytes)])
    assert list(tmp_path.iterdir()) == []


def test_two_files_of_one_path_are_refused(tmp_path):
    with pytest.raises(ValueError, match="two files"):
        publish(tmp_path / "site", plan(index="a") * 2)


def test_the_current_folder_is_not_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="current folder"):
        publish(tmp_path, plan(index="a"))


def test_the_old_site_stays_until_the_new_one_is_whole(tmp_path):
    out = tmp_path / "site"
    publish(out, plan(index="old", gone="old"))
    during = []

    def content():
        during.append(seen(out))
        return b"new"

    publish(out, [*plan(index="new"), File("b.html", content)])
    assert during == [{"index.html": "old", "gone.html": "old"}]
    assert seen(out) == {"index.html": "new", "b.html": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_killed_build_leaves_the_old_site_and_the_next_one_cleans_up(tmp_path):
    out = tmp_path / "site"
    publish(out, plan(index="old"))
    program = (
        "import os, signal, pathlib; from cloakbench_leaderboards.site.writing import File, publish\n"
        "def die(): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"publish(pathlib.Path({str(out)!r}), [File('index.html', 'new'.encode), File('b.html', die)])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=Path(writing.__file__).parents[1], check=False)
    assert done.returncode == -signal.SIGKILL
    assert seen(out) == {"index.html": "old"}
    assert len(list(tmp_path.iterdir())) == 2
    publish(out, plan(index="new"))
    assert seen(out) == {"index.html": "new"}
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_kill_between_two_renames_is_repaired(tmp_path):
    out = tmp_path / "site"
    publish(out, plan(index="old"))
    out.rename(tmp_path / ".site-old")
    publish(out, plan(index="old"))
    assert seen(out) == {"index.html": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


HOSTILE = ["../../x", "a/b", "a\\b", "a b", "A", "ä", "con", "index", "", ".", "-", "x" * 10_000, "x" * 9_999, "\ud800"]


def test_slugs_are_safe_and_differ():
    names = [*HOSTILE, "impasto", "impasto[base=advdm]", "impasto[base=advdm,clip=false]", "impasto-base-advdm"]
    names += [slug(name) for name in names]
    slugs = {name: slug(name) for name in names}
    assert len(set(slugs.values())) == len(slugs)
    assert all(
        len(slug) <= 80 and slug.strip("-").replace("-", "").isalnum() and slug.isascii() for slug in slugs.values()
    )
    assert slugs["impasto"] == "impasto"
