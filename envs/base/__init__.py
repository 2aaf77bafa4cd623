"""Parts that all families of environments share: checks, moves, pictures, the base classes of the two variants."""
