"""Stored features of a cell's generations, as bytes of a safetensors file that states the digest of its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

Halves = NDArray[np.float16]

METADATA = "cloakbench"
"""Entry of the file's metadata that holds the networks' digests and the features' own."""


class StoredFeatures(NamedTuple):
    """The features `[N, d]` of N images in one space, and the SHA-256 of the network's weights."""

    values: Halves
    network: str


def pack(features: Mapping[str, StoredFeatures]) -> bytes:
    """Returns the features by space as a safetensors file."""
    networks = {space: stored.network for space, stored in features.items()}
    arrays = {space: np.ascontiguousarray(stored.values, np.float16) for space, stored in features.items()}
    document = {"networks": networks, "sha256": _digest(arrays, networks)}
    return save(arrays, {METADATA: json.dumps(document, sort_keys=True)})  # one entry: safetensors keeps no order


def unpack(data: bytes) -> dict[str, StoredFeatures]:
    """Returns the features by space; raises ValueError for bytes that are no such file or not what was written."""
    try:
        length = int.from_bytes(data[:8], "little")
        document: dict[str, Any] = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][METADATA])
        networks: dict[str, str] = document["networks"]
        arrays = load(data)
    except (SafetensorError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a file of features: {error}") from error
    for values in arrays.values():
        if values.dtype != np.float16 or values.ndim != 2:
            raise ValueError(f"expected rows of 16-bit floats, got {values.dtype} with {values.ndim} axes")
    if arrays.keys() != networks.keys() or _digest(arrays, networks) != document["sha256"]:
        raise ValueError("the features do not match their digest")
    return {space: StoredFeatures(arrays[space], networks[space]) for space in sorted(arrays)}


def _digest(arrays: Mapping[str, Halves], networks: Mapping[str, str]) -> str:
    total = hashlib.sha256()
    for space in sorted(arrays):
        values = arrays[space]
        total.update(f"{space} {networks[space]} {values.dtype} {values.shape}\n".encode() + values.tobytes())
    return total.hexdigest()
