"""Text on the terminal that fits its width; pipes and files get plain lines."""
