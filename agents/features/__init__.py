"""Features of observations: lines of tokens, standardised arrays."""
