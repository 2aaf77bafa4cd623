"""From settings to environments and agents."""
