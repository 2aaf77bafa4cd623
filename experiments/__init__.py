"""expirespan."""
