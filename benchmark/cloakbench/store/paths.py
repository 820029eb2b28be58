"""The layout of a store: the path of every file; readable without torch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, TypeVar

from cloakbench.files import PARTIAL

T = TypeVar("T")
MANIFEST = "manifest.json"
FACTS_FILE, RECORDS_FILE, CANARIES_FILE = "facts.json", "records.jsonl", "canaries.jsonl"
ORIGINS_FILE = "origins.jsonl"
"""What a reference folder holds in place of a store's folders."""
SIGNATURES = "signatures"
"""Folder of `*.manifest`, each with its `*.manifest.sig`, in a store or a reference folder."""
NOTICE_FILE = "notice.txt"
"""A maintainer's note on the records beside it, in a store or a reference folder; every page shows it."""
PICTURES = "pictures"
"""Folder with small pictures for pages, in a reference folder or in a store that adopted one."""
STAGE_KINDS = ("images", "gallery", "adapters", "features", "calibrations", "canaries")
"""Folders of images and features; each file's path holds the key of the stage that made it."""
_ENDINGS = {
    "records": r"\.json",
    "images": r"/(\d{3,6}\.png|manifest\.json)",
    "gallery": r"\.webp",
    "adapters": r"\.safetensors",
    "features": r"\.safetensors",
    "calibrations": r"\.json",
    "canaries": r"/[0-9T]{1,20}\.json",
}
_KEY_AND_CLASS = r"(?P<prefix>[0-9a-f]{2})/(?P<key>(?P=prefix)[0-9a-f]{62})/(?P<env>[0-9a-f]{12})"
_STAGE_FILES = {kind: re.compile(f"{kind}/{_KEY_AND_CLASS}{ending}") for kind, ending in _ENDINGS.items()}
_FACTS_NAME = re.compile(r"facts/[a-z0-9][a-z0-9-]*-[0-9]+\.json")
_ORIGIN_NAME = re.compile(rf"origins/{_KEY_AND_CLASS}\.json")
_SIGNATURE_NAME = re.compile(r"signatures/[0-9a-f]{16}\.manifest(\.sig)?")


_PICTURE_NAME = re.compile(r"pictures/(?P<key>[0-9a-f]{32})-[0-9a-f]{12}-[a-z]{1,20}\.webp")
PICTURE_KEY = 32
"""Characters of a stage's key in the name of a small picture."""


class StageFile(NamedTuple):
    """The stage's key and the environment class in a path of a store."""

    kind: str
    """A folder of the store: `records` or one of `STAGE_KINDS`."""
    key: str
    env_class: str


def parse(name: str) -> StageFile | None:
    """Returns the parts of a path below a store that names a stage's file or a record, None for any other path.

    Example:
        >>> parse("records/ab/ab" + "0" * 62 + "/0123456789ab.json").env_class
        '0123456789ab'
        >>> parse("records/ab/ab/../../../x.json")
    """
    kind = name.partition("/")[0]
    match = _STAGE_FILES[kind].fullmatch(name) if kind in _STAGE_FILES else None
    return StageFile(kind, match["key"], match["env"]) if match else None


def is_facts(name: str) -> bool:
    """Returns whether a path below a store is that of a suite's facts."""
    return _FACTS_NAME.fullmatch(name) is not None


def is_signature(name: str) -> bool:
    """Returns whether a path below a store is that of a signed manifest or its signature."""
    return _SIGNATURE_NAME.fullmatch(name) is not None


def picture_key(name: str) -> str:
    """Returns the first half of the key of the stage that a small picture shows; empty for any other path.

    Example:
        >>> picture_key("pictures/" + "0f" * 16 + "-0123456789ab-mosaic.webp") == "0f" * 16
        True
        >>> picture_key("pictures/../notice.txt")
        ''
    """
    match = _PICTURE_NAME.fullmatch(name)
    return match["key"] if match else ""


def is_of_layout(name: str) -> bool:
    """Returns whether a path below a store is one that a merge or an adoption writes."""
    is_origin = _ORIGIN_NAME.fullmatch(name) is not None
    is_for_pages = name == NOTICE_FILE or picture_key(name) != ""
    return parse(name) is not None or is_facts(name) or is_signature(name) or is_origin or is_for_pages


def write_order(name: str) -> tuple[bool, bool, str]:
    """Returns a sort key for paths below a store, in the order in which they are to be written.

    Images come before the manifest that says that they are whole, and records last.
    """
    path = PurePosixPath(name)
    return path.parts[0] == "records", path.name == MANIFEST, name


GALLERY = 4
"""Generations of the first seed that a store keeps for pages."""


def of_gallery(generations: Sequence[T]) -> Sequence[T]:
    """Returns those of a cell's generations that its gallery shows: a few, spread from the first on.

    Example:
        >>> of_gallery(range(9)), of_gallery("ab")
        (range(0, 8, 2), 'ab')
    """
    return generations[:: max(1, len(generations) // GALLERY)][:GALLERY]


def _manifest_last(file: Path) -> tuple[bool, Path]:
    return file.name == MANIFEST, file


class StorePaths:
    """Every path of a store. Files are grouped by the key of the stage that wrote them, then by environment class."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def record_path(self, key: str, env_class: str) -> Path:
        """Returns the path of the record of a cell."""
        return self._folder("records", key) / f"{env_class}.json"

    def origin_path(self, key: str, env_class: str) -> Path:
        """Returns the path of the document that names the store from which a record, or a stage's output, came."""
        return self._folder("origins", key) / f"{env_class}.json"

    @property
    def is_store(self) -> bool:
        """Whether this is a store: it has records, or facts of suites."""
        return (self.root / "records").is_dir() or (self.root / "facts").is_dir()

    @property
    def is_reference(self) -> bool:
        """Whether this is a folder of reference records."""
        return (self.root / FACTS_FILE).is_file()

    @property
    def has_images(self) -> bool:
        """Whether any stage's images are here; a folder of reference records has none."""
        return (self.root / "images").is_dir()

    def holds(self, path: Path) -> bool:
        """Returns whether a file of the store exists, and no symbolic link below a folder of the store leads elsewhere.

        One of the store's own folders, such as `images`, may be a link to another disk.
        """
        folder = self.root / path.relative_to(self.root).parts[0]
        return path.is_file() and path.resolve().is_relative_to(folder.resolve())

    @property
    def signatures(self) -> Path:
        """The folder of signed manifests."""
        return self.root / SIGNATURES

    def signed_manifests(self) -> list[Path]:
        """Returns the path of every manifest that may have a signature beside it, sorted."""
        return sorted(self.signatures.glob("*.manifest"))

    def unfinished(self) -> list[Path]:
        """Returns the files and folders whose writing was interrupted, sorted."""
        return sorted(self.root.rglob(f"{PARTIAL}*"))

    def stage_files(self) -> Iterator[Path]:
        """Yields the path of every file of a stage beside the records, sorted, manifests of images last."""
        for kind in STAGE_KINDS:
            files = [*(self.root / kind).glob("*/*/*"), *(self.root / kind).glob("*/*/*/*")]
            for file in sorted(files, key=_manifest_last):
                if parse(file.relative_to(self.root).as_posix()):
                    yield file

    def stage_paths(self, key: str, env_class: str) -> list[Path]:
        """Returns the files of a stage whose output cells share: its images, or the search for a strength."""
        images = self.images_path(key, env_class)
        search = self.calibration_path(key, env_class)
        files = sorted(images.iterdir()) if images.is_dir() else []
        return [*files, search] if search.is_file() else files

    def stage_folders(self) -> list[Path]:
        """Returns the folder of every stage that has files beside the records, sorted; its name is the stage's key.

        Left out is what a symbolic link leads to, which lies elsewhere and may not be removed.
        """
        folders: list[Path] = []
        for kind in (*STAGE_KINDS, "origins"):
            for folder in sorted((self.root / kind).glob("??/*")):
                if not folder.is_symlink() and not folder.parent.is_symlink():
                    folders.append(folder)
        return folders

    def files(self) -> Iterator[Path]:
        """Yields the path of every file and folder below the store."""
        yield from self.root.rglob("*")

    def records(self) -> Iterator[Path]:
        """Yields the path of every record, sorted."""
        yield from sorted((self.root / "records").glob("*/*/*.json"))

    def origins(self) -> list[Path]:
        """Returns the path of every origin, sorted."""
        return sorted((self.root / "origins").glob("*/*/*.json"))

    @property
    def notice(self) -> Path:
        """The file with a maintainer's note."""
        return self.root / NOTICE_FILE

    def pictures(self) -> list[Path]:
        """Returns the path of every small picture for pages, sorted."""
        return sorted((self.root / PICTURES).glob("*.webp"))

    def facts_path(self, suite: str, version: int) -> Path:
        """Returns the path of a suite's facts."""
        return self.root / "facts" / f"{suite}-{version}.json"

    def facts(self) -> list[Path]:
        """Returns the path of the facts of every suite version, sorted."""
        return sorted((self.root / "facts").glob("*.json"))

    def images_path(self, key: str, env_class: str) -> Path:
        """Returns the folder of a stage's images."""
        return self._folder("images", key) / env_class

    def manifest_path(self, key: str, env_class: str) -> Path:
        """Returns the file that says that a stage's images are whole."""
        return self.images_path(key, env_class) / MANIFEST

    def image_paths(self, key: str, env_class: str) -> list[Path]:
        """Returns the images of a stage that are here, in their order."""
        return sorted(self.images_path(key, env_class).glob("*.png"))

    def image_path(self, key: str, env_class: str, number: int) -> Path:
        """Returns the path of one image of a stage, a PNG."""
        return self.images_path(key, env_class) / f"{number:03d}.png"

    def gallery_path(self, key: str, env_class: str) -> Path:
        """Returns the path of the strip of a few generations, a WebP."""
        return self._folder("gallery", key) / f"{env_class}.webp"

    def calibration_path(self, key: str, env_class: str) -> Path:
        """Returns the path of the search for a strength."""
        return self._folder("calibrations", key) / f"{env_class}.json"

    def canary_path(self, key: str, env_class: str, created: str) -> Path:
        """Returns the path of the record of a control cell that ran again, named after the time of the second run."""
        ran = re.sub(r"[^0-9T]", "", created[:19])
        return self._folder("canaries", key) / env_class / f"{ran}.json"

    def canaries(self) -> list[Path]:
        """Returns the path of every canary, sorted."""
        return sorted((self.root / "canaries").glob("*/*/*/*.json"))

    def adapter_path(self, key: str, env_class: str) -> Path:
        """Returns the path of the adapters or embeddings of a personalised model."""
        return self._folder("adapters", key) / f"{env_class}.safetensors"

    def features_path(self, key: str, env_class: str) -> Path:
        """Returns the path of the features of a cell's generations."""
        return self._folder("features", key) / f"{env_class}.safetensors"

    def _folder(self, kind: str, key: str) -> Path:
        return self.root / kind / key[:2] / key
