"""Signed manifests: who vouches for which records, by keys and signatures of OpenSSH."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from cloakbench.errors import InfrastructureError, UserError
from cloakbench.files import write_whole
from cloakbench.schemas.record import Record
from cloakbench.store import key as keys

FOLDER = "signatures"
"""Beside the records of a store or reference folder: `*.manifest`, each with its `*.manifest.sig`."""
NAMESPACE = "cloakbench"
"""A signature that was made for something else does not count."""
_VOLATILE = {"traceback", "suite_version"}
"""What an export leaves out, and what a newer version of a suite takes over."""


def digest(record: Record) -> str:
    """Returns the SHA-256 of all that a record says, image digests among it; the same in a store and an export."""
    said = record.model_dump(mode="json", exclude=_VOLATILE, exclude_defaults=True)
    return hashlib.sha256(keys.canonical(said)).hexdigest()


def manifest(records: Iterable[Record]) -> bytes:
    """Returns one line for each record, sorted: its digest, then key and environment class."""
    lines = sorted(f"{digest(record)}  {record.key}/{record.environment.env_class}\n" for record in records)
    return "".join(lines).encode()


def sign(folder: Path, records: Iterable[Record], key: Path) -> Path:
    """Writes a manifest of records with a signature by the private key `key` into `folder`; returns its path.

    Raises UserError where ssh-keygen is missing or can't sign with this key.
    """
    text = manifest(records)
    path = folder / FOLDER / f"{hashlib.sha256(text).hexdigest()[:16]}.manifest"
    write_whole(path, text)
    made = path.with_suffix(".manifest.sig")
    made.unlink(missing_ok=True)
    done = subprocess.run(  # noqa: S603 - no shell; the key is the user's own
        [_tool(), "-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE, str(path)], stderr=subprocess.PIPE, check=False
    )
    if done.returncode != 0 or not made.is_file():
        path.unlink()
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(
            f"expected a private key of OpenSSH, got {key}: {said[-1] if said else 'no signature'}",
            "Make one with: ssh-keygen -t ed25519 -f FILE",
        )
    return path


def signed(folder: Path, allowed: Path) -> dict[str, str]:
    """Returns who signed which record digest, by the manifests in `folder` whose signature is by an `allowed` key.

    A manifest without such a signature counts for nothing, and nothing is verified without ssh-keygen.
    """
    found: dict[str, str] = {}
    for path in sorted((folder / FOLDER).glob("*.manifest")):
        text = path.read_bytes()
        signer = _signer(text, path.with_suffix(".manifest.sig"), allowed)
        if signer:
            found |= dict.fromkeys((line.split()[0].decode() for line in text.splitlines() if line.strip()), signer)
    return found


def _signer(text: bytes, made: Path, allowed: Path) -> str:
    """Returns under which name the signer of a manifest is allowed, empty for none."""
    tool = shutil.which("ssh-keygen")
    if not tool or not made.is_file():
        return ""
    asked = ["-s", str(made), "-f", str(allowed)]
    named = _run([tool, "-Y", "find-principals", *asked], b"")
    for name in (named or "").split():
        if _run([tool, "-Y", "verify", *asked, "-I", name, "-n", NAMESPACE], text) is not None:
            return name
    return ""


def _run(command: list[str], given: bytes) -> str | None:
    done = subprocess.run(command, input=given, capture_output=True, check=False)  # noqa: S603 - no shell
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def _tool() -> str:
    tool = shutil.which("ssh-keygen")
    if tool is None:
        raise InfrastructureError("expected ssh-keygen, found none", "Install OpenSSH's client.")
    return tool
