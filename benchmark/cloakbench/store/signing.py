"""Signed manifests: which signers vouch for which records, by keys and signatures of OpenSSH."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path, PurePath

from cloakbench.errors import InfrastructureError, UserError
from cloakbench.files import read_regular, read_unlinked, write_below, write_whole
from cloakbench.schemas.record import Record
from cloakbench.store import key as keys
from cloakbench.store.paths import SIGNATURES, StorePaths, is_signature

NAMESPACE = "cloakbench"
"""A signature that was made for something else does not count."""
REVOKED = "revoked_keys"
"""OpenSSH's list of revoked keys: public keys, one a line, or what `ssh-keygen -k` writes."""
_VOLATILE = {"traceback", "suite_version"}
"""What an export leaves out, and what a newer version of a suite takes over."""


def digest(record: Record) -> str:
    """Returns the SHA-256 of all that a record says, image digests among it; the same in a store and an export."""
    stated = record.model_dump(mode="json", exclude=_VOLATILE, exclude_defaults=True)
    return hashlib.sha256(keys.canonical(stated)).hexdigest()


def manifest(records: Iterable[Record]) -> bytes:
    """Returns one line for each record, sorted: its digest, then key and environment class."""
    lines = sorted(f"{digest(record)}  {record.key}/{record.environment.env_class}\n" for record in records)
    return "".join(lines).encode()


def sign(folder: Path, records: Iterable[Record], key: Path) -> Path:
    """Writes a manifest of records with a signature by the private key `key` into `folder`; returns its path.

    Raises UserError where ssh-keygen is missing or can't sign with this key.
    """
    text = manifest(records)
    name = PurePath(SIGNATURES, f"{hashlib.sha256(text).hexdigest()[:16]}.manifest")
    command = [_tool(), "-Y", "sign", "-q", "-f", str(key), "-n", NAMESPACE]  # the signature to its output
    done = subprocess.run(command, input=text, capture_output=True, check=False)  # noqa: S603 - no shell; the user's key
    if done.returncode != 0 or not done.stdout:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise UserError(
            f"expected a private key of OpenSSH, got {key}: {words[-1] if words else 'no signature'}",
            "Make one with: ssh-keygen -t ed25519 -f FILE",
        )
    write_below(folder, name.with_suffix(".manifest.sig"), done.stdout)
    write_below(folder, name, text)
    return folder / name


def signed(folder: Path, allowed: Path) -> dict[str, str]:
    """Returns who signed which record digest, by the manifests in `folder` whose signature is by an `allowed` key.

    A manifest without such a signature, or that cannot be read, counts for nothing, and so does a key in the file
    `revoked_keys` beside the list of those that are allowed. Nothing is verified without ssh-keygen.
    """
    signers: dict[str, str] = {}
    for path in StorePaths(folder).signed_manifests():
        try:
            text = read_regular(path)
        except OSError:
            continue
        signer = _signer(text, path.with_suffix(".manifest.sig"), allowed)
        if signer:
            digests = [line.split()[0].decode(errors="replace") for line in text.splitlines() if line.strip()]
            signers |= dict.fromkeys(digests, signer)
    return signers


def copy(store: Path, folder: Path) -> None:
    """Copies the manifests and signatures of a store to a folder of reference records, which is published.

    Raises UserError for a link in place of one, whose bytes could be any file's.
    """
    for file in sorted(StorePaths(store).signatures.glob("*.manifest*")):
        name = f"{SIGNATURES}/{file.name}"
        if not is_signature(name):
            continue
        try:
            data = read_unlinked(file)
        except OSError as error:
            raise UserError(
                f"expected signatures that are files of their own, got {file}, which {error.strerror}",
                "Export a copy of the store: cp -r makes one without hard links.",
            ) from error
        write_whole(folder / name, data)


def _signer(text: bytes, signature: Path, allowed: Path) -> str:
    """Returns under which name the signer of a manifest is allowed, empty for none."""
    tool = shutil.which("ssh-keygen")
    if not tool or not signature.is_file():
        return ""
    options = ["-s", str(signature), "-f", str(allowed)]
    named = _run([tool, "-Y", "find-principals", *options], b"")
    revoked = allowed.with_name(REVOKED)
    if revoked.exists():
        options += ["-r", str(revoked)]
    for name in (named or "").split():
        if _run([tool, "-Y", "verify", *options, "-I", name, "-n", NAMESPACE], text) is not None:
            return name
    return ""


def _run(command: list[str], stdin: bytes) -> str | None:
    done = subprocess.run(command, input=stdin, capture_output=True, check=False)  # noqa: S603 - no shell
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None


def _tool() -> str:
    tool = shutil.which("ssh-keygen")
    if tool is None:
        raise InfrastructureError("expected ssh-keygen, found none", "Install OpenSSH's client.")
    return tool
