"""Several processes that train one agent: what they share out, add up and agree on."""

from expirespan.agents.workers.meeting import WorkersError
from expirespan.agents.workers.workers import Part, Workers

__all__ = ["Part", "Workers", "WorkersError"]
