"""Rollouts, policies and their results: the base of all other folders of the agents."""
