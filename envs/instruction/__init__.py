"""Find the instruction: one line of text among a thousand. `scalar.py` has the card."""
