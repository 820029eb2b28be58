"""Reading, changing and listing the files of stores and reference folders."""

from __future__ import annotations

import json


def lines(reference):
    return [json.loads(line) for line in (reference / "records.jsonl").read_text().splitlines()]


def rewrite(reference, documents):
    (reference / "records.jsonl").write_text("".join(json.dumps(document) + "\n" for document in documents))


def spoil(store, change):
    """Changes the first good record of the good protection in place."""
    for path in store.records():
        document = json.loads(path.read_bytes())
        if document["protection"]["name"] == "good":
            change(document)
            path.write_text(json.dumps(document))
            return
    raise AssertionError("expected a record to spoil")
