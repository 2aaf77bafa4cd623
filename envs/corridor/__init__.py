"""The corridor: remember the ball, choose the door. `scalar.py` has the card."""
