"""``expirespan pretrained``: which trained agents there are, and a policy file and card made from a run.

The files themselves and their reading are in `agents/pretrained`.
"""
