"""Records made by arithmetic, for tests and for a demonstration board."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from cloakbench.schemas.kinds import Status
from cloakbench.schemas.recipes import ImitateRecipe, MeasureRecipe, Recipes
from cloakbench.schemas.record import AttackFacts, Environment, ProtectionFacts, Record, StageCost
from cloakbench.schemas.suite import (
    AttackExplained,
    AttackSpec,
    MetricFacts,
    Metrics,
    Sampling,
    Seeds,
    Suite,
    SuiteFacts,
)

PLAIN = AttackSpec(name="dreambooth", mimicry="dreambooth", model="mini-a")
JPEG = AttackSpec(name="jpeg", countermeasure="jpeg", mimicry="dreambooth", model="mini-a")
BLUR = AttackSpec(name="blur", countermeasure="blur", mimicry="dreambooth", model="mini-a")
NOISE = AttackSpec(name="noise", countermeasure="noise", mimicry="dreambooth", model="mini-a")
LORA = AttackSpec(name="lora", mimicry="lora", model="mini-a")
TRANSFER = AttackSpec(name="sd21-transfer", mimicry="dreambooth", model="mini-b")
EDIT = AttackSpec(name="edit", mimicry="edit", model="mini-a")
EDIT_METRICS = Metrics(
    primary="style-distance",
    quality=["mini-lpips", "psnr"],
    generation=["style-distance", "accuracy"],
    sets=["frechet", "kid"],
    edit=["edit-ssim", "edit-psnr"],
)
ALL_ATTACKS = (PLAIN, JPEG, BLUR, NOISE, LORA)
ROLES = {"identity": "identity", "placebo": "placebo", "random-noise": "random-noise", "floor": "floor"}
FLOOR = AttackSpec(name="floor", mimicry="dreambooth", model="mini-a")


def suite(
    artists: list[str],
    attacks: tuple[AttackSpec, ...] = (PLAIN,),
    strengths: tuple[float, ...] = (1.0,),
    **changes: Any,
) -> Suite:
    fields: dict[str, Any] = {
        "name": "mini",
        "version": 1,
        "title": "Mini suite",
        "description": "Eight drawn artists, attacked on a small embedded model.",
        "banner": "Measured on a small embedded model, not on Stable Diffusion.",
        "dataset": "mini",
        "artists": artists,
        "images_per_artist": 8,
        "class_word": "painting",
        "token": "sks",
        "caption": "a painting in the style of {token}",
        "surrogate": "mini-a",
        "budget_255": 16,
        "strengths": list(strengths),
        "seeds": Seeds(protected=1, controls=1),
        "attacks": list(attacks),
        "countermeasures": {name: {"quality": 75} for a in attacks for name in a.countermeasures},
        "mimicry": {a.mimicry: {"steps": 200, "learning_rate": 1e-4} for a in attacks},
        "sampling": Sampling(prompts=["a boat in the style of {token}"], per_prompt=4, steps=20, guidance=3),
        "metrics": Metrics(
            primary="style-distance",
            quality=["mini-lpips", "psnr"],
            generation=["style-distance", "accuracy"],
            sets=["frechet", "kid"],
        ),
        "rank_by": attacks[0].name,
    }
    return Suite(**(fields | changes))


def facts(suite: Suite) -> SuiteFacts:
    def metric(name: str, level: str, unit: str, higher: bool, summary: str) -> MetricFacts:
        return MetricFacts.model_validate(
            {
                "name": name,
                "version": 1,
                "level": level,
                "unit": unit,
                "low": 0,
                "high": None,
                "higher_is_better": higher,
                "summary": summary,
            }
        )

    return SuiteFacts(
        suite=suite,
        attacks=[
            AttackExplained(
                name=a.name,
                summary=f"Learns the artist's style by {a.mimicry}"
                + (
                    f" after {a.countermeasure} of the images." if a.countermeasure else " from the images as they are."
                ),
                countermeasure=a.countermeasure,
                mimicry=a.mimicry,
                model=a.model,
                parameters={
                    **{name: suite.countermeasures[name] for name in a.countermeasures},
                    a.mimicry: suite.mimicry[a.mimicry],
                },
                ranked=a.mimicry != "edit",
            )
            for a in suite.attacks
        ],
        metrics=[
            metric("mini-lpips", "quality", "", False, "Perceptual distance to the original, on small fixed features."),
            metric("psnr", "quality", "dB", True, "Peak signal-to-noise ratio against the original."),
            metric("style-distance", "generation", "", True, "Distance of style features to the artist's references."),
            metric("accuracy", "generation", "", False, "Share of generations that the judge gives to the artist."),
            metric("frechet", "set", "", True, "Fréchet distance over a fixed projection of the judge's features."),
            metric("kid", "set", "", True, "Kernel inception distance on the judge's features."),
            *(
                metric(name, "edit", unit, False, "The protected image's edit against the clean one's.")
                for name, unit in (("edit-ssim", ""), ("edit-psnr", "dB"))
                if name in suite.metrics.edit
            ),
        ],
    )


def record(
    entry: str,
    artist: str,
    distances: list[float] | float,
    attack: AttackSpec = PLAIN,
    strength: float | None = None,
    seed: int = 0,
    **changes: Any,
) -> Record:
    role = ROLES.get(entry, "submission")
    strength = (0.0 if role in ("identity", "floor") else 1.0) if strength is None else strength
    visible = 0.06 if role == "placebo" else strength
    values = [distances] if isinstance(distances, float | int) else distances
    mean = sum(values) / len(values) if values else 0.0
    parts = [entry, artist, attack.name, attack.mimicry, strength, seed]
    fields: dict[str, Any] = {
        "key": hashlib.sha256(repr(parts).encode()).hexdigest(),
        "suite": "mini",
        "suite_version": 1,
        "protection": _protection(entry, role),
        "strength": strength,
        "artist": artist,
        "attack": AttackFacts(
            name=attack.name,
            countermeasure=attack.countermeasure,
            mimicry=attack.mimicry,
            model=attack.model,
            versions={attack.mimicry: 1},
        ),
        "seed": seed,
        "salt_digest": "0" * 64,
        "status": Status.OK,
        "reason": "",
        "traceback": "",
        "components": {"parts": {"of": parts}},
        "quality": {} if role == "floor" else {"mini-lpips": [0.3 * visible] * 2, "psnr": [45 - 15 * visible] * 2},
        "generations": {"style-distance": values, "accuracy": [max(0.0, 1 - mean)] * len(values)},
        "sets": {"frechet": 10 * mean, "kid": mean / 100},
        "digests": {},
        "environment": _environment(),
        "cost": {"protect": StageCost(wall_s=9.0, device_s=4.0 * strength, peak_bytes=0, cached=False)},
        "created": f"2026-01-0{1 + seed}T00:00:00+00:00",
    }
    return Record.model_validate(fields | changes)


def components(parents: dict[str, str]) -> dict[str, Any]:
    """Recipes of a cell without a protection whose last stage continues from the given keys."""
    generate = ImitateRecipe(
        version=1,
        sampling=suite(["a"]).sampling,
        token="sks",
        class_word="painting",
        model="0" * 64,
        mimicry="dreambooth",
        seed=0,
        dtype="float32",
    )
    measure = MeasureRecipe(metrics={}, perceptual="0" * 64, parents=parents)
    return Recipes(generate=generate, measure=measure).content()


def edited(entry: str, artist: str, similarities: list[float], **place: Any) -> Record:
    """A cell of the attack that edits: one value an edit, no distance, no set."""
    values = {"edit-ssim": similarities, "edit-psnr": [20 + 40 * value for value in similarities]}
    return record(entry, artist, [], place.pop("attack", EDIT), generations=values, sets={}, **place)


def lost(entry: str, artist: str, status: Status, reason: str, **place: Any) -> Record:
    """A cell that left no measurement."""
    empty = {"quality": {}, "generations": {}, "sets": {}}
    return record(entry, artist, [], status=status, reason=reason, **empty, **place)


def arms(artist: str, clean: float, floor: float, placebo: float | None = None, seed: int = 0) -> list[Record]:
    """The three arms that every score needs, on the plain attack."""
    return [
        record("identity", artist, clean, seed=seed),
        record("floor", artist, floor, attack=FLOOR, seed=seed),
        record("placebo", artist, clean if placebo is None else placebo, seed=seed),
    ]


def save(folder: Path, facts: SuiteFacts, records: list[Record]) -> Path:
    """Writes a store."""
    (folder / "facts").mkdir(parents=True, exist_ok=True)
    name = f"{facts.suite.name}-{facts.suite.version}.json"
    (folder / "facts" / name).write_text(facts.model_dump_json(), encoding="utf-8")
    for cell_record in records:
        file = folder / "records" / cell_record.key[:2] / cell_record.key / f"{cell_record.environment.env_class}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(cell_record.model_dump_json(), encoding="utf-8")
    return folder


def demonstration(artists: int = 8, seeds: int = 3) -> tuple[SuiteFacts, list[Record]]:
    """A whole board: four protections, three strengths, five attacks; smooth numbers with a little spread."""
    names = [f"artist-{n}" for n in range(1, artists + 1)]
    plan = suite(
        names, ALL_ATTACKS, (0.25, 0.5, 1.0), seeds=Seeds(protected=1, controls=seeds), demonstration=artists < 6
    )
    power = {"placebo": 0.01, "random-noise": 0.12, "photoguard": 0.5, "impasto": 0.8, "glaze": 0.35, "mist": 0.6}
    keeps = {"dreambooth": 1.0, "jpeg": 0.5, "blur": 0.6, "noise": 0.4, "lora": 0.9}
    made = []
    for a, artist in enumerate(names):
        base, reach = 0.30 + 0.01 * a, 0.40 + 0.02 * ((a * 5) % 7)
        for seed in range(seeds):
            for mimicry in ("dreambooth", "lora"):
                arm = FLOOR.model_copy(update={"mimicry": mimicry})
                made.append(record("floor", artist, base + reach + spread("floor", a, seed, mimicry), arm, seed=seed))
        for attack in ALL_ATTACKS:
            for seed in range(seeds):
                clean = base + 0.01 * seed + (0.03 if attack.countermeasure else 0)
                made.append(record("identity", artist, clean, attack, seed=seed))
                moved = clean + spread("placebo", a, seed, attack.name)
                made.append(record("placebo", artist, moved, attack, seed=seed))
            for name in ("random-noise", "photoguard", "impasto", "glaze", "mist"):
                for strength in plan.strengths:
                    gain = power[name] * keeps[attack.name] * strength**0.7 * reach
                    clean = base + (0.03 if attack.countermeasure else 0)
                    value = clean + gain + 3 * spread(name, a, strength, attack.name)
                    made.append(record(name, artist, value, attack, strength=strength))
    return facts(plan), made


def spread(*parts: object) -> float:
    """A reproducible number of about a hundredth."""
    return (hashlib.sha256(repr(parts).encode()).digest()[0] / 255 - 0.5) * 0.03


def _protection(name: str, role: str) -> ProtectionFacts:
    return ProtectionFacts(
        name=name,
        version="1.0",
        distribution="cloakbench-controls" if role != "submission" else f"cloakbench-{name[:40]}",
        package_digest="a" * 64,
        role=role,
        budget="linf",
        title=name.capitalize(),
        paper="" if role != "submission" else "https://arxiv.org/abs/2302.06588",
        licence="Apache-2.0",
        deterministic=True,
    )


def _environment() -> Environment:
    return Environment(
        env_class="0123456789ab",
        device="cpu",
        threads=1,
        packages={"torch": "2.9", "diffusers": "0.35", "pillow": "11.0"},
        libjpeg="3.0",
        commit="0123456789abcdef0123456789abcdef01234567",
        dirty=False,
    )
