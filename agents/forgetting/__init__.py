"""What makes spans short: the price, the lesson, how spans follow it."""
