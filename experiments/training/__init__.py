"""What `expirespan train` does."""
