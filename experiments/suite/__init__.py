"""Suites: tasks x memories x seeds as data, trained as a sweep, ending in one table and one picture."""
