"""The endless T-maze: a cue, used once and replaced by the next. `scalar.py` has the card."""
