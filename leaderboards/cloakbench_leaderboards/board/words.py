"""Terms of the board with their explanations: the method page, the glossary and the help of every head use them."""

from __future__ import annotations

from types import MappingProxyType

STOP_NAMES = ("faint", "visible", "strong")
"""The three visibility limits, from less to more visible."""
CONTROL_WORDS = MappingProxyType(
    {
        "identity": "The unchanged images: which all protections are compared with. P is 0 without cleaning.",
        "placebo": "Noise of 1/255, which does not protect: its score is the noise of the measurement.",
        "random-noise": "Random noise with the budget of the protections: any real method has to beat it.",
        "floor": "The base model, never trained on the artist: P is 1, the strongest protection possible.",
    }
)
"""The references, which every board holds."""
CAVEATS = MappingProxyType(
    {
        "limited": "a second quality metric stopped the protection before the matched one did",
        "few points": "the curve was drawn from fewer strengths than planned",
        "less visible": "less visible than the limit even at full strength, which is good for the image",
        "partial": "some attacks have no score, and the value can only fall when they have one",
    }
)
"""Marks after a number."""
GLOSSARY = MappingProxyType(
    {
        "P": "Protection score. 0: the copycat imitates as well as from unprotected images. 1: it learned nothing of "
        "the style. 0.3: about a third of what it would have learned is lost.",
        "P, no cleaning": "Protection score where the copycat trains on the protected images as they are.",
        "P, best cleaning": "Protection score under the cleaning trick that helps the copycat most, the worst case. "
        "The trick is chosen on other artists than it is scored on.",
        "Coverage": "Share of the planned runs that are measured. A protection without all runs of the worst case has "
        "no rank.",
        "Visibility": "Change of the images that was reached, by perceptual distance: 0 is unchanged. Protections are "
        "compared at equal limits of this distance.",
        "Interval": "95 % interval over artists. Where two protections differ by less than the intervals suggest, the "
        "order may be chance.",
        "Effect": "Distance to clean images under the same attack, on the scale of P.",
        "Retention": "Share of the protection that is left after cleaning.",
        "Area": "Average P over all visibilities up to the limit “visible”.",
        "Mean": "Average P over all attacks.",
        "Countermeasure": "A cleaning trick that the copycat applies to the protected images before training.",
        "Attack": "Cleaning, training and generation by a copycat with fixed settings.",
        "P left": "Mean protection score over the protections that were run under an attack. "
        "Attacks that met other protections are not comparable.",
        "Learned from": "The artists from whose clean images an attack learned more than noise, of those on whom that "
        "was tested. Where it did not learn there is nothing to protect against, and nothing is scored.",
        "Damage": "Protection score of unprotected images under an attack. Above 0 the cleaning spoils the imitation.",
        "Seconds": "Time of one run of an attack without the protection, each stage's median.",
        "Reference": "A row that must behave in a known way: unchanged images, invisible noise, random noise, and a "
        "model that never saw the artist.",
        "Placebo": "Noise of 1/255, which does not protect. Its score is the noise of the measurement.",
        "Floor": "The base model that never saw the artist. It defines P = 1.",
        "Checks with known answers": "The scores of unprotected images, of random noise and of the model that never "
        "saw the artist are known beforehand. A board is official only if it finds them.",
        "Tie group": "Protections that do not differ significantly.",
        "Trust": "Who ran a protection: self-reported means run once, by its submitter; not repeated or signed.",
    }
)


def stop_name(number: int) -> str:
    """Returns the name of a visibility limit by its position.

    Example:
        >>> stop_name(1), stop_name(3)
        ('visible', 'limit 4')
    """
    return STOP_NAMES[number] if number < len(STOP_NAMES) else f"limit {number + 1}"
