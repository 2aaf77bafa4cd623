"""Basics that every folder of the agents uses: checks of arguments, and a value for loggers."""
