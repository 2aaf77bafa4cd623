"""Training of short spans: the price, the lesson, and how spans follow it."""
