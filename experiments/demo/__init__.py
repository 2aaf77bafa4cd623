"""``expirespan demo``: the trained agent `corridor`, which comes with the package, plays one long corridor."""
