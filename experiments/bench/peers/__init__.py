"""Agents of other people's projects in `bench agents`: how checkouts are recognised, and programs that serve rounds.

A peer runs unmodified in a separate process. Its program here reads settings and then a line per round from standard
input, and answers each with a line of JSON, as `served.py` does.
"""
