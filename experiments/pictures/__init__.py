"""All pictures drawn with matplotlib."""
