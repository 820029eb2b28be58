"""The machine: processor, memory, energy, folders."""
