"""Trained agents that come with the package: for each a policy file ``NAME.zip`` and a card ``NAME.json``.

`shelf.py` reads them. ``expirespan pretrained RUN --name NAME`` writes both from a run.
"""
