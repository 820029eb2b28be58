"""Reading, changing and listing the files of stores and reference folders."""

from __future__ import annotations

import json


def lines(reference):
    return [json.loads(line) for line in (reference / "records.jsonl").read_text().splitlines()]


def rewrite(reference, documents):
    (reference / "records.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))
