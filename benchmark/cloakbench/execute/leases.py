"""Leases of a machine's devices: which of several GPUs a process computes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that shows a process some GPUs only."""


class Leases:
    """Lends devices to processes, each time the one that the fewest have.

    Example:
        >>> leases = Leases(["0", "1"])
        >>> leases.take(), leases.take(), leases.take()
        ('0', '1', '0')
        >>> leases.give_back("1")
        >>> leases.take()
        '1'
    """

    def __init__(self, devices: Sequence[str] = ()) -> None:
        self._lent = dict.fromkeys(devices, 0)

    def take(self) -> str | None:
        """Returns the device for one more process, None where there are none to lend."""
        if not self._lent:
            return None
        device = min(self._lent, key=lambda name: self._lent[name])
        self._lent[device] += 1
        return device

    def give_back(self, device: str | None) -> None:
        """Ends one lease of a device."""
        if device is not None:
            self._lent[device] -= 1


def names(kinds: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Returns the names to lend of devices whose kinds are given in order: those of the first one's kind.

    Records of two kinds of device do not pair, so that one run keeps to one kind. Where the user has chosen some
    already (CUDA_VISIBLE_DEVICES), these are named as there.

    Example:
        >>> names(["H100", "H100", "T4"], {})
        ['0', '1']
        >>> names(["H100", "H100"], {"CUDA_VISIBLE_DEVICES": "2,5"})
        ['2', '5']
    """
    chosen = environment.get(VISIBLE, "").replace(",", " ").split()
    numbers = list(map(str, range(len(kinds))))
    all_names = chosen if len(chosen) >= len(kinds) else numbers
    return [name for name, kind in zip(all_names, kinds, strict=False) if kind == kinds[0]]
