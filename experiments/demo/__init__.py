"""``expirespan demo``: a small trained agent, shipped with the package, plays one long corridor.

``agent.zip`` has its policy, ``agent.json`` the command, commit and seed that made it.
`pack.py` writes both from a run.
"""
