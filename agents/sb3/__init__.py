"""What Stable-Baselines3's contract asks for: vector environments, memoryless policies, images and dictionaries."""
