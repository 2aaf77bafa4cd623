"""A plugin of expirespan, as small as it can be: one of each thing that a package can add."""
