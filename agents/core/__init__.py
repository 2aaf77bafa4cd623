"""Rollouts, policies and what they return: what all other folders build on."""
