"""Environments of Gymnasium and MiniGrid, wrapped such that an agent must remember."""
