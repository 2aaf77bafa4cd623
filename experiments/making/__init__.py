"""Construction of environments and agents from settings."""
