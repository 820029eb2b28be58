"""`cloakbench submit`: one protection's records, digests and protected images as one archive, and reading it safely.

An archive is a zip file of JSON documents and PNGs in the layout of a store, with `SHA256SUMS` over all of them. What
comes from outside is only data: nothing of it is run, and no name in it decides where a file goes but by the layout.
"""

from __future__ import annotations

import contextlib
import hashlib
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.files import write_whole
from cloakbench.schemas.kinds import Role, Status
from cloakbench.schemas.record import Record
from cloakbench.store import key, paths, reading
from cloakbench.store.reading import Loaded
from cloakbench.store.store import Store

SUMS = "SHA256SUMS"
MOST_FILES = 50_000
MOST_BYTES = 2 << 30
"""Of all files together, unpacked."""
MOST_OF_A_FILE = 32 << 20
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""Other methods may need gigabytes of memory before a byte is unpacked."""
_TIMESTAMP = (1980, 1, 1, 0, 0, 0)
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
    sums = ""
    for name, data in sorted(files.items()):
        sums += f"{hashlib.sha256(data).hexdigest()}  {name}\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [(SUMS, sums.encode()), *sorted(files.items())]:
            info = zipfile.ZipInfo(name, _TIMESTAMP)
            info.external_attr = 0o644 << 16
            archive.writestr(info, data, zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED)
    return Packed(str(out), len(own), images, out.stat().st_size)


def _files(loaded: Loaded, own: list[Record], store: Store) -> Iterator[tuple[str, bytes]]:
    suite = loaded.facts.suite
    files = [store.facts_path(suite.name, suite.version)]
    for record in own:
        env_class = record.environment.env_class
        files.append(store.record_path(record.key, env_class))
        if record.status is Status.OK:
            files += _protected(record, store)
    for file in dict.fromkeys(files):
        yield file.relative_to(store.root).as_posix(), file.read_bytes()


def _protected(record: Record, store: Store) -> list[Path]:
    """Returns the files of a record's protected images; raises UserError where the store lacks them."""
    name, env_class = key.digest(record.components["protect"]), record.environment.env_class
    if not store.manifest_path(name, env_class).is_file():
        raise UserError(
            f"expected the protected images of {record.key[:16]} ({record.artist}) in {store.root}, got none",
            "Pack from the store in which it ran; a reference folder has no images.",
        )
    files = store.stage_paths(name, env_class)
    return [file for file in files if paths.parse(file.relative_to(store.root).as_posix())]


@contextlib.contextmanager
def opened(source: Path) -> Iterator[Path]:
    """Yields a folder of records: the source itself, or what an archive holds, unpacked until the block ends.

    Raises:
        UserError: The source is a file and no archive that `cloakbench submit` made.
    """
    if not source.is_file():
        yield source
        return
    with tempfile.TemporaryDirectory(prefix="cloakbench-archive-") as folder:
        unpack(source, Path(folder))
        yield Path(folder)


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
    except (zlib.error, MemoryError, ValueError) as error:
        raise _refused(archive, f"expected an archive of `cloakbench submit`, got damaged data ({error})") from error


def _entries(archive: Path, infos: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    if len(infos) > MOST_FILES:
        raise _refused(archive, f"expected at most {MOST_FILES} files, got {len(infos)}")
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if not _is_expected(info):
            raise _refused(archive, f"expected records, facts and images only, got {info.orig_filename[:100]!r}")
        if info.compress_type not in _COMPRESSIONS:
            raise _refused(archive, f"expected stored or deflated files, got method {info.compress_type}")
        if info.filename in entries:
            raise _refused(archive, f"expected each file once, got {info.filename!r} twice")
        if info.file_size > MOST_OF_A_FILE:
            raise _refused(archive, f"expected at most {MOST_OF_A_FILE} bytes per file, got {info.file_size}")
        entries[info.filename] = info
    total = sum(info.file_size for info in infos)
    if total > MOST_BYTES:
        raise _refused(archive, f"expected at most {MOST_BYTES} bytes, got {total}")
    return entries


def _is_expected(info: zipfile.ZipInfo) -> bool:
    """Returns whether an entry is a regular file with a path of the layout of a store."""
    mode, name = stat.S_IFMT(info.external_attr >> 16), info.filename
    file = paths.parse(name)
    is_named = name == SUMS or paths.is_facts(name) or (file is not None and file.kind in {"records", "images"})
    return is_named and mode in {0, stat.S_IFREG} and info.orig_filename == name


def _sums(archive: Path, text: bytes) -> dict[str, str]:
    sums = {}
    for line in text.decode(errors="replace").splitlines():
        digest, separator, name = line.partition("  ")
        if not separator:
            raise _refused(archive, f"expected {SUMS} with a line for every file, got {line[:100]!r}")
        sums[name] = digest
    if not sums:
        raise _refused(archive, f"expected {SUMS} with a line for every file, got none")
    return sums


def _compare(archive: Path, sums: dict[str, str], entries: dict[str, zipfile.ZipInfo]) -> None:
    for name in sorted(entries.keys() - sums.keys()):
        raise _refused(archive, f"expected a digest of {name!r} in {SUMS}, got none")
    for name in sorted(sums.keys() - entries.keys()):
        raise _refused(archive, f"expected {name[:100]!r}, which {SUMS} names, got no such file")


def _read(archive: Path, opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with opened.open(info) as file:
        data = file.read(MOST_OF_A_FILE + 1)
    if len(data) > MOST_OF_A_FILE:
        raise _refused(archive, f"expected at most {MOST_OF_A_FILE} bytes per file, got more in {info.filename!r}")
    return data


def require_submission(loaded: Loaded) -> None:
    """Raises UserError where records are not those of one submission: controls never come from outside."""
    entries = sorted({(record.protection.name, record.protection.role) for record in loaded.records})
    if len(entries) != 1 or entries[0][1] != Role.SUBMISSION:
        got = ", ".join(f"{name} ({role})" for name, role in entries)
        raise UserError(f"expected the records of one submission, got {got}", "Pack one protection at a time.")


def images(loaded: Loaded, folder: Path) -> list[str]:
    """Returns which good records of an unpacked archive lack their protected images, and images that are no record's.

    The latter would be taken for the output of another protection by a run that goes on from them.
    """
    store = Store(folder)
    expected: dict[Path, Record] = {}
    for record in loaded.records:
        if record.status is Status.OK:
            recipe = record.components.get("protect", {})
            expected[store.images_path(key.digest(recipe), record.environment.env_class)] = record
    present = {file.parent for file in store.stage_files()}
    problems = []
    for images_folder, record in expected.items():
        if images_folder not in present:
            problems.append(f"{record.key[:16]} ({record.artist}): expected its protected images, got none")
    for images_folder in sorted(present - expected.keys()):
        stage = images_folder.relative_to(folder)
        problems.append(f"{stage}: expected the images of a record, got others")
    return problems


def _refused(archive: Path, message: str) -> UserError:
    return UserError(f"{archive}: {message}", "Ask its author to pack it again: cloakbench submit NAME --out FILE")
