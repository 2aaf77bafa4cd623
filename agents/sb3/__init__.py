"""Parts that Stable-Baselines3 requires: vector environments, memoryless policies, images and dictionaries."""
