"""One small byte-level BPE for all embedded text encoders: any text encodes, the dataset's words are single tokens."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

from open_clip.tokenizer import bytes_to_unicode
from transformers import CLIPTokenizer

from cloakbench.models.mini.architecture import TOKENS

BEGIN, END = "<|startoftext|>", "<|endoftext|>"


def words_to_learn(styles: list[str], subjects: list[str]) -> list[str]:
    """Returns the words that become single tokens: the captions' own and those that evaluation prompts may need."""
    phrases = [
        "a an the of in on at with by and style painting picture photo drawing artwork print image",
        "sks noise free clean blurry detailed colourful dark bright good bad high low quality",
        "person man woman dog cat sky sea sun moon cloud hill forest night day old new small large",
    ]
    return sorted(set(re.findall(r"[a-z]+", " ".join([*styles, *subjects, *phrases]))))


def learn_merges(words: list[str]) -> list[tuple[str, str]]:
    """Returns BPE merges, most frequent pair first (ties alphabetical), until every word is one token."""
    pieces = {word: (*word[:-1], word[-1] + "</w>") for word in words}
    merges: list[tuple[str, str]] = []
    while True:
        pairs: Counter[tuple[str, str]] = Counter()
        for parts in pieces.values():
            pairs.update(pairwise(parts))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = {word: _merge(parts, best) for word, parts in pieces.items()}


def _merge(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    merged: list[str] = []
    for part in parts:
        if merged and (merged[-1], part) == pair:
            merged[-1] += part
        else:
            merged.append(part)
    return tuple(merged)


def write(folder: Path, words: list[str]) -> None:
    """Writes `vocab.json`, `merges.txt` (transformers) and `bpe.txt.gz` (open_clip) for the same token numbers."""
    symbols = list(bytes_to_unicode().values())
    merges = learn_merges(words)
    at_word_ends = [symbol + "</w>" for symbol in symbols]
    vocabulary = [*symbols, *at_word_ends, *map("".join, merges), BEGIN, END]
    numbers = dict(zip(vocabulary, range(len(vocabulary)), strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["#version: 0.2", *map(" ".join, merges)]
    (folder / "vocab.json").write_text(json.dumps(numbers, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "bpe.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))


def load(folder: Path) -> CLIPTokenizer:
    """Returns the tokenizer that `write` left in `folder`; captions are cut or padded to 32 tokens."""
    vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    lines = (folder / "merges.txt").read_text(encoding="utf-8").splitlines()
    merges = [tuple(line.split()) for line in lines[1:]]
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=TOKENS)
