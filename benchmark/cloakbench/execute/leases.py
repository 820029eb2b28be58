"""Assigns the GPUs of a machine to processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable that limits which GPUs a process can use."""


class Leases:
    """Assigns devices to processes: always the one with the fewest processes.

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
        """Returns the device for one more process, None where there are no devices."""
        if not self._lent:
            return None
        device = min(self._lent, key=lambda name: self._lent[name])
        self._lent[device] += 1
        return device

    def give_back(self, device: str | None) -> None:
        """Notes that a process with a device has ended."""
        if device is not None:
            self._lent[device] -= 1


def names(kinds: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """Returns the names of the devices that a run may use: those of the first one's kind.

    Records of two kinds of device do not pair, so a run uses one kind. Where CUDA_VISIBLE_DEVICES is set, the names are
    those in it.

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
