"""`cloakbench submit`: records, digests and images of one protection or attack as one archive, and reading it safely.

An archive is a zip file of JSON documents and PNGs in the layout of a store, with `SHA256SUMS` over all of them. What
comes from outside is only data: nothing of it is run, and no name in it decides where a file goes but by the layout.
"""

from __future__ import annotations

import contextlib
import hashlib
import shlex
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloakbench.errors import UserError
from cloakbench.files import write_whole
from cloakbench.schemas.kinds import Status
from cloakbench.schemas.record import Record
from cloakbench.store import key, paths, reading
from cloakbench.store.paths import StorePaths
from cloakbench.store.reading import Loaded
from cloakbench.submissions.discovery import EntryKind

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


def pack(name: str, suite: str | None, store: Path, out: Path, kind: EntryKind = EntryKind.PROTECTION) -> Packed:
    """Writes the archive of one protection or attack.

    Args:
        name: Its spelling.
        suite: Which suite, where the store holds several.
        store: Where it ran.
        out: The archive.
        kind: What it is.

    Raises:
        UserError: The store lacks a record or an image.
    """
    option = "--protection" if kind is EntryKind.PROTECTION else "--keep images --attack"
    wanted = f"{option} {shlex.quote(name)}"
    loaded = reading.load(store, suite, wanted)
    own = [record for record in loaded.records if _spelling(record, kind) == name]
    if not own:
        raise UserError(
            f"expected a {kind} with records of {loaded.facts.suite.name} in {store}, got {name!r}",
            f"It holds: {', '.join(_list_names(loaded.records, kind)) or 'none'}. Run it first: "
            f"cloakbench run {loaded.facts.suite.name} {wanted}",
        )
    require_submission(loaded._replace(records=own))
    files = dict(_files(loaded, own, StorePaths(store)))
    images = sum(file.endswith(".png") for file in files)
    sums = ""
    for file, data in sorted(files.items()):
        sums += f"{hashlib.sha256(data).hexdigest()}  {file}\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, data in [(SUMS, sums.encode()), *sorted(files.items())]:
            info = zipfile.ZipInfo(file, _TIMESTAMP)
            info.external_attr = 0o644 << 16
            archive.writestr(info, data, zipfile.ZIP_STORED if file.endswith(".png") else zipfile.ZIP_DEFLATED)
    return Packed(str(out), len(own), images, out.stat().st_size)


def _spelling(record: Record, kind: EntryKind) -> str:
    """Returns whose record it is as an archive of that kind would hold it; empty for other records."""
    package = record.attack.package
    if kind is EntryKind.PROTECTION:
        return record.protection.name if package is None else ""
    return package.spelling if package is not None and package.kind == kind.value else ""


def _list_names(records: Sequence[Record], kind: EntryKind) -> list[str]:
    names = set()
    for record in records:
        if kind is not EntryKind.PROTECTION or not record.protection.role.is_control:
            names.add(_spelling(record, kind))
    return sorted(names - {""})


def _files(loaded: Loaded, own: list[Record], store: StorePaths) -> Iterator[tuple[str, bytes]]:
    suite = loaded.facts.suite
    files = [store.facts_path(suite.name, suite.version)]
    for record in own:
        env_class = record.environment.env_class
        files.append(store.record_path(record.key, env_class))
        if record.status is Status.OK:
            for stage in _packed_stages(record):
                files += _images_of(record, stage, store)
    for file in dict.fromkeys(files):
        yield file.relative_to(store.root).as_posix(), file.read_bytes()


def _packed_stages(record: Record) -> list[str]:
    """Returns the stages whose images an archive holds: for an attack all, so that what it achieved can be measured."""
    if record.attack.package is None:
        return ["protect"]
    return [stage for stage in ("protect", "countermeasure", "generate") if stage in record.components]


def _images_of(record: Record, stage: str, store: StorePaths) -> list[Path]:
    """Returns the files of a stage's images; raises UserError where the store lacks them."""
    name, env_class = key.digest(record.components[stage]), record.environment.env_class
    if not store.manifest_path(name, env_class).is_file():
        hint = "Run it with --keep images." if stage == "generate" else "A reference folder has no images."
        raise UserError(
            f"expected the images of {stage} of {record.key[:16]} ({record.artist}) in {store.root}, got none",
            f"Pack from the store in which it ran. {hint}",
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


def require_records(source: Path) -> None:
    """Raises UserError for a source that holds no records at all: a folder without any, or a file that is no archive.

    It reads a few bytes only, before the models' libraries are loaded: a wrong path is known at once.
    """
    folder = StorePaths(source)
    if source.is_file():
        if not zipfile.is_zipfile(source):
            raise _refused(source, "expected an archive of `cloakbench submit`, got File is not a zip file")
    elif not (folder.is_store or folder.is_reference):
        reading.suite_names(source)


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
    total = 0
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
        total += info.file_size
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
    """Raises UserError where records are not those of one submission, or of one attack of a package.

    Controls never come from outside, but under such an attack, of which they are the clean arm.
    """
    packages = {record.attack.package for record in loaded.records}
    if None not in packages and len(packages) == 1:
        return
    entries = {(record.protection.name, record.protection.role) for record in loaded.records}
    is_protection = packages == {None} and len(entries) == 1
    if not is_protection or any(role.is_control for _, role in entries):
        got = [f"{name} ({role})" for name, role in sorted(entries)]
        got += sorted(f"the attack {package.spelling}" for package in packages if package)
        raise UserError(
            f"expected the records of one submission, got {', '.join(got)}", "Pack one protection or attack at a time."
        )


def images(loaded: Loaded, folder: Path) -> list[str]:
    """Returns which good records of an unpacked archive lack their images, and images that are no record's.

    The latter would be taken for the output of another protection by a run that goes on from them.
    """
    store = StorePaths(folder)
    expected: dict[Path, str] = {}
    for record in loaded.records:
        for stage in _packed_stages(record) if record.status is Status.OK else ():
            digest = key.digest(record.components.get(stage, {}))
            noun = "its protected images" if stage == "protect" else f"its images of {stage}"
            sentence = f"{record.key[:16]} ({record.artist}): expected {noun}, got none"
            expected[store.images_path(digest, record.environment.env_class)] = sentence
    present = {file.parent for file in store.stage_files()}
    problems = []
    for images_folder, sentence in expected.items():
        if images_folder not in present:
            problems.append(sentence)
    for images_folder in sorted(present - expected.keys()):
        stray = images_folder.relative_to(folder)
        problems.append(f"{stray}: expected the images of a record, got others")
    return problems


def _refused(archive: Path, message: str) -> UserError:
    return UserError(f"{archive}: {message}", "Ask its author to pack it again: cloakbench submit NAME --out FILE")
