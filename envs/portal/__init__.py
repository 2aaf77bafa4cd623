"""The portal rooms: which door led on. `scalar.py` has the card."""
