"""Rules for forgetting: how long each memory lives, and what remains of it. Start with ``expire_span.py``."""
