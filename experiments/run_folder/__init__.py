"""The folder of a run: its files, atomic writing, and the provenance of numbers."""
