"""Playing and recording of episodes, and retention as numbers."""
