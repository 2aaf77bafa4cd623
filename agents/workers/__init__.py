"""Several processes that train one agent: what they share out, add up and agree on."""

from expirespan.agents.workers.workers import Part, Workers, WorkersError

__all__ = ["Part", "Workers", "WorkersError"]
