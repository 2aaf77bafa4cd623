"""Benchmarks: one module each, with a ``command`` that the command line calls."""
