"""``expirespan reproduce TASK``: the commands behind docs/results.md, run again and compared with their claims.

`claims.py` has the commands and the claims as data, `outcome.py` the outcome of one seed and whether the claim holds,
`runner.py` runs them, `command.py` is the command, `tables.py` writes the tables of README and docs from the outcomes.
"""
