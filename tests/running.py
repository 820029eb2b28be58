"""Runs planned sessions without progress lines, and reads what they left."""

from __future__ import annotations

import json

from cloakbench.runs import session as sessions

DIFFERENT = ("cost", "created")
"""Fields in which two runs of one cell may differ."""


class Quiet:
    def say(self, text): ...
    def begin(self, total): ...
    def start(self, cell): ...
    def finish(self, cell, outcome): ...
    def end(self): ...


class Then(Quiet):
    """Remembers what was said and what ended, and does something after the first cell."""

    def __init__(self, then=lambda: None):
        self.said, self.finished, self.then = [], [], then

    def say(self, text):
        self.said.append(text)

    def finish(self, cell, outcome):
        self.finished.append(cell.key)
        if len(self.finished) == 1:
            self.then()


def run(session, keep_images=False):
    """Runs what is missing and returns the new records."""
    ran = sessions.run(session, report=Quiet(), keep_images=keep_images)
    return [session.store.read_record(outcome.key, session.environment.env_class) for outcome in ran]


def told(store):
    """Every record as its file says it, by key, but for times."""
    by_name = {}
    for path in store.records():
        document = json.loads(path.read_bytes())
        # The checkout that the tests run in may be edited meanwhile.
        for field in ("commit", "dirty"):
            document["environment"].pop(field)
        by_name[document["key"]] = {name: value for name, value in document.items() if name not in DIFFERENT}
    return by_name


def of(session, name, attack="dreambooth"):
    [cell] = [c for c in session.cells if c.entry.facts.name == name and c.attack.name == attack]
    return cell


def record_of(session, name, attack="dreambooth"):
    return session.store.read_record(of(session, name, attack).key, session.environment.env_class)
