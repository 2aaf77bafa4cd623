"""Sweeps: many runs of recipes over seeds and settings, each in a separate process, as `expirespan sweep` does it."""
