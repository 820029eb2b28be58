"""The store: a file is written whole or not at all, and checked when it is read; `paths` has the layout."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from pydantic import ValidationError

from cloakbench import images
from cloakbench.errors import InfrastructureError, UserError
from cloakbench.files import find_irregular, read_regular, remove_below, to_json, write_below
from cloakbench.images import Pixels
from cloakbench.schemas.record import Calibration, Record
from cloakbench.schemas.suite import SuiteFacts
from cloakbench.store import features, paths, staging
from cloakbench.store.features import StoredFeatures
from cloakbench.store.origins import Origin, Verb
from cloakbench.store.paths import StorePaths
from cloakbench.system.locations import STORE_VARIABLE

MAX_PIXELS = 2048 * 2048
"""Of one image of a stage."""
MAX_FILE = 64 << 20
"""Bytes of one file of a stage."""
MAX_BYTES = 1 << 30
"""Of all images of a stage, decoded."""


class CorruptFile(InfrastructureError):  # noqa: N818 - says what happened to the file
    """Something in the store does not match its digest or schema."""


class Store(StorePaths):
    """Records by key and environment class, images of stages, and the facts that pages need."""

    def require_store(self) -> None:
        """Raises UserError for a folder that no command may write to as a store; nothing is written before.

        That is one of reference records, which a run neither reads nor writes, and one that holds a symbolic link or
        anything else but files and folders: what is written there could change files elsewhere.
        """
        self._require_regular()
        if self.is_reference:
            raise UserError(
                f"expected a store, got the reference folder {self.root}",
                f"Give another folder with --store or {STORE_VARIABLE}, and take the records over: cloakbench adopt.",
            )

    def _require_regular(self) -> None:
        try:
            other = find_irregular(self.root) if self.root.is_dir() else None
        except OSError as error:
            raise UserError(
                f"expected a store that can be read, got {self.root}: {error.strerror}", "Correct its rights."
            ) from error
        if other is not None:
            kind = "a symbolic link" if other.is_symlink() else "neither a file nor a folder"
            raise UserError(
                f"expected files and folders only in the store {self.root}, got {other}, which is {kind}",
                f"Remove it, or give another folder with --store or {STORE_VARIABLE}.",
            )

    def prepare(self) -> None:
        """Creates the store; raises UserError where it cannot be written, or as `require_store` does."""
        self.require_store()
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
            staging.finish(self.root)
        except OSError as error:
            raise UserError(
                f"expected a writable store, got {self.root}: {error.strerror}",
                f"Give another folder with --store or {STORE_VARIABLE}.",
            ) from error

    def _write(self, path: Path, data: bytes) -> None:
        """Writes a file whole: temporary name, flush to disk, rename. A full disk leaves the old state."""
        try:
            write_below(self.root, path.relative_to(self.root), data)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            what = "no space is left" if full else str(error.strerror)
            raise InfrastructureError(
                f"could not write {path}: {what}", "Free space or choose another --store; finished cells are kept."
            ) from error

    def _remove(self, path: Path) -> None:
        try:
            remove_below(self.root, path.relative_to(self.root))
        except OSError as error:
            raise InfrastructureError(
                f"could not remove {path}: {error.strerror}", "Correct its rights, or choose another --store."
            ) from error

    def write_file(self, name: PurePosixPath, data: bytes) -> None:
        """Writes a file of another store under the same path; raises InfrastructureError for one outside the store."""
        if name.is_absolute() or ".." in name.parts:
            raise InfrastructureError(f"expected a path below the store, got {name}", "Something else sent it.")
        self._write(self.root / name, data)
        file = paths.parse(name.as_posix())
        if file is not None:
            self.mark_own(file.key, file.env_class)

    def read_origin(self, key: str, env_class: str) -> Origin | None:
        """Returns where a record or a stage's output came from, None for what ran here; raises CorruptFile."""
        path = self.origin_path(key, env_class)
        if not path.exists():
            return None
        try:
            return Origin.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            raise CorruptFile(f"the origin {path} is damaged", "The cell runs again.") from error

    def is_usable(self, key: str, env_class: str) -> bool:
        """Returns whether a run may continue from the output under a key: it ran here, or was adopted."""
        try:
            origin = self.read_origin(key, env_class)
        except CorruptFile:
            return False
        return origin is None or origin.verb is Verb.ADOPT

    def is_own(self, key: str, env_class: str) -> bool:
        """Returns whether the output under a key was computed by a run on this store."""
        return not self.origin_path(key, env_class).exists()

    def mark_own(self, key: str, env_class: str) -> None:
        """Marks the output under a key as computed here; call it after the output was written."""
        self._remove(self.origin_path(key, env_class))

    def copy_origin(self, key: str, successor: str, env_class: str) -> None:
        """Copies the origin of the output under `key`, if it has one, to the key `successor`."""
        path = self.origin_path(key, env_class)
        if key != successor and path.exists():
            self._write(self.origin_path(successor, env_class), path.read_bytes())

    def write_record(self, record: Record) -> None:
        """Writes a record."""
        path = self.record_path(record.key, record.environment.env_class)
        self._write(path, to_json(record.model_dump(mode="json")))

    def read_record(self, key: str, env_class: str) -> Record | None:
        """Returns a cell's record, None where there is none; raises CorruptFile for one that can't be read."""
        path = self.record_path(key, env_class)
        if not path.exists():
            return None
        try:
            return Record.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            raise CorruptFile(f"the record {path} is damaged", "The cell runs again.") from error

    def write_canary(self, record: Record) -> None:
        """Writes the record of a control cell that ran again; the cell's own record stays as it is."""
        path = self.canary_path(record.key, record.environment.env_class, record.created)
        self._write(path, to_json(record.model_dump(mode="json")))

    def write_calibration(self, key: str, env_class: str, calibration: Calibration) -> None:
        """Writes a search for a strength with the tries so far."""
        self._write(self.calibration_path(key, env_class), to_json(calibration.model_dump(mode="json")))

    def read_calibration(self, key: str, env_class: str) -> Calibration:
        """Returns a search for a strength with its tries so far, none if it is not stored; raises CorruptFile."""
        path = self.calibration_path(key, env_class)
        if not path.exists():
            return Calibration()
        try:
            return Calibration.model_validate_json(path.read_bytes())
        except (ValidationError, OSError) as error:
            raise CorruptFile(f"the calibration {path} is damaged", "The strength is calibrated again.") from error

    def write_images(self, key: str, env_class: str, pixels: list[Pixels], facts: Mapping[str, Any]) -> None:
        """Writes a stage's images as PNGs; the manifest, written last, says that they are whole."""
        for n, image in enumerate(pixels):
            self._write(self.image_path(key, env_class, n), images.encode(image))
        manifest = {"digests": [images.digest(p) for p in pixels], **facts}
        self._write(self.manifest_path(key, env_class), to_json(manifest))

    def forget_images(self, key: str, env_class: str) -> None:
        """Removes what says that a stage's images are whole, so that they are computed anew."""
        self._remove(self.manifest_path(key, env_class))

    def read_images(self, key: str, env_class: str) -> tuple[list[Pixels], dict[str, Any]] | None:
        """Returns a stage's images and facts, None where there are none; raises CorruptFile where a digest differs."""
        folder = self.images_path(key, env_class)
        path = self.manifest_path(key, env_class)
        if not path.exists():
            return None
        try:
            manifest: dict[str, Any] = json.loads(path.read_bytes())
            pixels = self._decode([self.image_path(key, env_class, n) for n in range(len(manifest["digests"]))])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise CorruptFile(f"the images in {folder} are damaged", "The stage runs again.") from error
        if [images.digest(p) for p in pixels] != manifest["digests"]:
            raise CorruptFile(f"the images in {folder} do not match their digests", "The stage runs again.")
        return pixels, manifest

    @staticmethod
    def _decode(files: Sequence[Path]) -> list[Pixels]:
        """Returns the images; raises ValueError for one that is too large, or too many for the memory."""
        pixels: list[Pixels] = []
        size = 0
        for file in files:
            pixels.append(images.decode_png(read_regular(file, MAX_FILE), MAX_PIXELS))
            size += pixels[-1].nbytes
            if size > MAX_BYTES:
                raise ValueError(f"expected at most {MAX_BYTES} bytes of pixels, got more")
        return pixels

    def write_gallery(self, key: str, env_class: str, pixels: list[Pixels]) -> None:
        """Writes a few generations as one WebP strip for pages."""
        from io import BytesIO

        from PIL import Image

        buffer = BytesIO()
        Image.fromarray(np.concatenate(pixels, axis=1)).save(buffer, "WEBP", quality=80)
        self._write(self.gallery_path(key, env_class), buffer.getvalue())

    def write_adapter(self, key: str, env_class: str, data: bytes) -> None:
        """Writes the adapters or embeddings that a mimicry has learned, as a safetensors file that diffusers loads."""
        self._write(self.adapter_path(key, env_class), data)

    def write_features(self, key: str, env_class: str, by_space: Mapping[str, StoredFeatures]) -> None:
        """Writes the features of a cell's generations by space, under the key of the stage `generate`."""
        self._write(self.features_path(key, env_class), features.pack(by_space))

    def read_features(self, key: str, env_class: str) -> dict[str, StoredFeatures]:
        """Returns the stored features by space, none without a file; raises CorruptFile where a digest differs."""
        path = self.features_path(key, env_class)
        if not path.exists():
            return {}
        try:
            return features.unpack(read_regular(path, MAX_FILE))
        except (OSError, ValueError) as error:
            raise CorruptFile(f"the features {path} are damaged: {error}", "They are not used.") from error

    def write_facts(self, facts: SuiteFacts) -> None:
        """Writes a suite's facts, so that pages can be built from the store alone."""
        path = self.facts_path(facts.suite.name, facts.suite.version)
        data = to_json(facts.model_dump(mode="json"))
        if not path.exists() or path.read_bytes() != data:
            self._write(path, data)
