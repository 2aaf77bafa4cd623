"""Training, as `expirespan train` does it."""
