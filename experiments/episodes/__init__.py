"""Playing episodes, recording them, and what is kept in them as numbers."""
