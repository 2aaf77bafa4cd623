"""Scores, intervals, comparisons."""
