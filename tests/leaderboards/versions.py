"""Records of a second version of a protection: the same cells, weaker where a test asks for it."""

from __future__ import annotations

import synthetic

FACTS, RECORDS = synthetic.demonstration()
FEW = [
    cell_record
    for cell_record in RECORDS
    if cell_record.seed == 0 and cell_record.strength in (0.0, 1.0) and cell_record.attack.name != "lora"
    if cell_record.protection.name not in ("mist", "random-noise")
]


def version(records, number, change=lambda record, value: value, name="photoguard", **changes):
    """The records with another version of one protection; `change` moves its distances."""
    made = []
    for cell_record in records:
        if cell_record.protection.name == name:
            facts = cell_record.protection.model_copy(update={"version": number, "package_digest": number[-1] * 64})
            values = [change(cell_record, value) for value in cell_record.generations["style-distance"]]
            cell_record = cell_record.model_copy(
                update={
                    "protection": facts,
                    "key": (number[-1] + cell_record.key)[:64],
                    "generations": {**cell_record.generations, "style-distance": values},
                    "components": {"protect": {"stage": "protect", "package": facts.package_digest}},
                    **changes,
                }
            )
        made.append(cell_record)
    return made


def weaker(share, attacks=("dreambooth", "jpeg", "lora")):
    """Takes a share of what the protection adds to the distance away, under some attacks."""
    clean = {}
    for r in RECORDS:
        if r.protection.role == "identity" and r.seed == 0:
            clean[r.artist, r.attack.name] = r

    def change(each, value):
        [base] = clean[each.artist, each.attack.name].generations["style-distance"]
        return base + (value - base) * (share if each.attack.name in attacks else 1)

    return change
