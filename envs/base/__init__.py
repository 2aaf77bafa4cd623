"""What every family of environments shares: checks, moves, pictures, the base classes of the two variants."""
