"""`cloakbench submit`: one protection's records, digests and protected images as one archive, and reading it safely.

An archive is a zip file of JSON documents and PNGs in the layout of a store, with `SHA256SUMS` over all of them. What
comes from outside is only data: nothing of it is run, and no name in it decides where a file goes but by the layout.
"""

from __future__ import annotations

import hashlib
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.files import write_whole
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.store import key, reading
from cloakbench.store.reading import Loaded
from cloakbench.store.store import Store

SUMS = "SHA256SUMS"
MOST_FILES = 50_000
MOST_BYTES = 2 << 30
"""Of all files together, unpacked."""
MOST_OF_A_FILE = 32 << 20
_ENDS = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_KEY = r"(?P<short>[0-9a-f]{2})/(?P=short)[0-9a-f]{62}"
_LAYOUT = re.compile(
    rf"{SUMS}|facts/{_ENDS}\.json|records/{_KEY}/{_ENDS}\.json|images/{_KEY.replace('short', 'other')}/{_ENDS}/"
    r"(\d{3,6}\.png|manifest\.json)"
)
_MADE = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive, so that the same records make the same archive."""


@dataclass(frozen=True, slots=True)
class Packed:
    """What an archive holds."""

    archive: str
    records: int
    images: int
    bytes: int


def pack(protection: str, suite: str | None, store: Path, out: Path) -> Packed:
    """Writes the archive of one protection to `out`; raises UserError where the store lacks a record or an image."""
    loaded = reading.load(store, suite)
    own = [record for record in loaded.records if record.protection.name == protection]
    if not own:
        names = sorted({r.protection.name for r in loaded.records if not r.protection.role.is_control})
        raise UserError(
            f"expected a protection with records of {loaded.facts.suite.name} in {store}, got {protection!r}",
            f"It holds: {', '.join(names) or 'none'}. Run it first: cloakbench run --protection {protection}",
        )
    require_submission(loaded._replace(records=own))
    files = dict(_files(loaded, own, Store(store)))
    images = sum(name.endswith(".png") for name in files)
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [(SUMS, sums.encode()), *sorted(files.items())]:
            info = zipfile.ZipInfo(name, _MADE)
            info.external_attr = 0o644 << 16
            archive.writestr(info, data, zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED)
    return Packed(str(out), len(own), images, out.stat().st_size)


def _files(loaded: Loaded, own: list[Record], store: Store) -> Iterator[tuple[str, bytes]]:
    chosen = loaded.facts.suite
    places = [store.facts_path(chosen.name, chosen.version)]
    for record in own:
        where = record.environment.env_class
        places.append(store.record_path(record.key, where))
        if record.status is Status.OK:
            folder = store.images_path(key.digest(record.components["protect"]), where)
            found = sorted(folder.iterdir()) if folder.is_dir() else []
            if not (folder / "manifest.json").is_file():
                raise UserError(
                    f"expected the protected images of {record.key[:16]} ({record.artist}) in {store.root}, got none",
                    "Pack from the store in which it ran; a reference folder has no images.",
                )
            places += [file for file in found if file.suffix in {".png", ".json"}]
    for place in dict.fromkeys(places):
        yield place.relative_to(store.root).as_posix(), place.read_bytes()


def unpack(archive: Path, folder: Path) -> None:
    """Writes an archive's files below `folder`, which has to be empty.

    Raises UserError for anything that is no such archive: another layout, links, names twice, too much, a file that
    SHA256SUMS does not name or that differs from it.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _entries(archive, opened.infolist())
            sums = _sums(archive, _read(archive, opened, entries.pop(SUMS)) if SUMS in entries else b"")
            _compare(archive, sums, entries)
            for name, info in entries.items():
                data = _read(archive, opened, info)
                if hashlib.sha256(data).hexdigest() != sums[name]:
                    raise _refused(archive, f"expected {name!r} as {SUMS} says, got another file")
                write_whole(folder / name, data)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise _refused(archive, f"expected an archive of `cloakbench submit`, got {error}") from error


def _entries(archive: Path, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    if len(infos) > MOST_FILES:
        raise _refused(archive, f"expected at most {MOST_FILES} files, got {len(infos)}")
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in {0, stat.S_IFREG} or not _LAYOUT.fullmatch(info.filename) or info.orig_filename != info.filename:
            raise _refused(archive, f"expected records, facts and images only, got {info.orig_filename[:100]!r}")
        if info.filename in found:
            raise _refused(archive, f"expected each file once, got {info.filename!r} twice")
        if info.file_size > MOST_OF_A_FILE:
            raise _refused(archive, f"expected at most {MOST_OF_A_FILE} bytes a file, got {info.file_size}")
        found[info.filename] = info
    total = sum(info.file_size for info in infos)
    if total > MOST_BYTES:
        raise _refused(archive, f"expected at most {MOST_BYTES} bytes, got {total}")
    return found


def _sums(archive: Path, text: bytes) -> dict[str, str]:
    lines = [line.split("  ", 1) for line in text.decode(errors="replace").splitlines()]
    if not lines or any(len(line) != 2 for line in lines):
        raise _refused(archive, f"expected {SUMS} with a line for every file, got none")
    return {name: digest for digest, name in lines}


def _compare(archive: Path, sums: dict[str, str], entries: dict[str, zipfile.ZipInfo]) -> None:
    for name in sorted(entries.keys() - sums.keys()):
        raise _refused(archive, f"expected a digest of {name!r} in {SUMS}, got none")
    for name in sorted(sums.keys() - entries.keys()):
        raise _refused(archive, f"expected {name[:100]!r}, which {SUMS} names, got no such file")


def _read(archive: Path, opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with opened.open(info) as file:
        data = file.read(MOST_OF_A_FILE + 1)
    if len(data) > MOST_OF_A_FILE:
        raise _refused(archive, f"expected at most {MOST_OF_A_FILE} bytes a file, got more in {info.filename!r}")
    return data


def require_submission(loaded: Loaded) -> None:
    """Raises UserError where records are not those of one submission: controls never come from outside."""
    found = sorted({(record.protection.name, record.protection.role) for record in loaded.records})
    if len(found) != 1 or found[0][1] != "submission":
        got = ", ".join(f"{name} ({role})" for name, role in found)
        raise UserError(f"expected the records of one submission, got {got}", "Pack one protection at a time.")


def images(loaded: Loaded, folder: Path) -> list[str]:
    """Returns which good records of an unpacked archive lack their protected images, and images that are no record's.

    The latter would be taken for the output of another protection by a run that goes on from them.
    """
    store = Store(folder)
    wanted = {
        store.images_path(key.digest(record.components.get("protect", {})), record.environment.env_class): record
        for record in loaded.records
        if record.status is Status.OK
    }
    held = {file.parent for file in (folder / "images").rglob("*") if file.is_file()}
    wrong = [
        f"{record.key[:16]} ({record.artist}): expected its protected images, got none"
        for place, record in wanted.items()
        if place not in held
    ]
    strays = sorted(held - wanted.keys())
    return wrong + [f"{place.relative_to(folder)}: expected the images of a record, got others" for place in strays]


def _refused(archive: Path, message: str) -> UserError:
    return UserError(f"{archive}: {message}", "Ask its author to pack it again: cloakbench submit NAME --out FILE")
