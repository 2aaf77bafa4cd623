"""``expirespan export``: a run's policy as a file to act with."""
