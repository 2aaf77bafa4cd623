"""Sizes with which benches of agents take seconds."""

from expirespan.experiments.bench import agents

SMALL = agents.Options(
    corridors=("3-5",),
    batch_sizes=(8,),
    num_envs=2,
    n_steps=8,
    epochs=1,
    width=8,
    layers=1,
    max_span=4,
    rounds=1,
    threads=1,
)
