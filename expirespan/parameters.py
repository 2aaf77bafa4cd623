"""Parameters of memories, agents and settings, each declared once: type, range and unit.

Constructors and settings are annotated with these types, and check by them (`ranges.py`).
"""

from __future__ import annotations

from typing import Annotated, Literal

from expirespan.ranges import Range

EXACT = 2**24
"""Up to this age, in steps, every whole number is one of 32 bits. Finite spans end before it."""

# memories
Width = Annotated[int, Range(1, 2**14)]
Layers = Annotated[int, Range(1, 256)]
Heads = Annotated[int, Range(1, 2**14)]
Positions = Annotated[int, Range(1, 2**16, unit="steps")]
OutputScale = Annotated[float, Range(0, 1e6, above=True)]
Stretch = Literal["all", "long"]
"""Which spans grow when max span is raised after training."""
MaxSpan = Annotated[float, Range(0, EXACT, above=True, unit="steps")]
Ramp = Annotated[float, Range(1e-12, EXACT, unit="steps", remedy="near 0 is a hard cut")]
InitFraction = Annotated[float, Range(0, 1, above=True, below=True)]
Stabilizer = Annotated[float, Range(0, 1e9, above=True)]
Window = Annotated[float, Range(1, EXACT, infinite=True, whole=True, unit="states")]
FiniteWindow = Annotated[int, Range(1, EXACT, unit="states")]
SummarySlots = Annotated[int, Range(1, EXACT)]
Factor = Annotated[int, Range(1, EXACT, unit="states", remedy="at most the window")]
Chrono = Annotated[float, Range(2, EXACT, above=True, unit="steps")]

# agents
Steps = Annotated[int, Range(1, 2**53)]
SomeSteps = Annotated[int, Range(0, 2**53)]
NumEnvs = Annotated[int, Range(1, 2**16)]
NSteps = Annotated[int, Range(1, 2**20)]
BatchSize = Annotated[int, Range(1, 2**30)]
Epochs = Annotated[int, Range(1, 10_000)]
LearningRate = Annotated[float, Range(0, 1e3)]
Discount = Annotated[float, Range(0, 1)]
ClipRange = Annotated[float, Range(0, 1e6, above=True)]
ValueClip = Annotated[float, Range(-1e6, 1e6)]  # that it is positive SB3 asserts, with a sentence like ours
TargetKL = Annotated[float, Range(0, 1e12, above=True)]
EntropyCoef = Annotated[float, Range(-1e6, 1e6)]
ValueCoef = Annotated[float, Range(0, 1e6)]
MaxGradNorm = Annotated[float, Range(0, 1e12, above=True, infinite=True, remedy="infinity clips nothing")]
Epsilon = Annotated[float, Range(0, 1e6)]
PositiveEpsilon = Annotated[float, Range(0, 1e6, above=True)]
SampleFrequency = Annotated[int, Range(-1, 2**30, unit="steps", remedy="-1: once a rollout")]
Verbose = Annotated[int, Range(0, 2)]
Seconds = Annotated[float, Range(0, 1e9, above=True, unit="seconds")]
PositiveRate = Annotated[float, Range(0, 1e18, above=True)]
Multiple = Annotated[float, Range(0, 1e6)]

# forgetting
Price = Annotated[float, Range(0, 1e6)]
PositivePrice = Annotated[float, Range(0, 1e6, above=True)]
Growth = Annotated[float, Range(1, 1e6)]
Decay = Annotated[float, Range(0, 1, above=True)]
Score = Annotated[float, Range(-1e30, 1e30)]
Probability = Annotated[float, Range(0, 1)]
SomeCount = Annotated[float, Range(0, 1e30)]
UnknownScore = Annotated[float, Range(-1e30, 1e30, infinite=True, remedy="infinity: not known yet")]
Slack = Annotated[float, Range(0, 1, above=True, below=True)]
Wait = Annotated[float, Range(0, 1, below=True)]
Share = Annotated[float, Range(0, 1, above=True, below=True)]
Shortest = Annotated[float, Range(0, 1, above=True)]
StepSize = Annotated[float, Range(0, 1e6, above=True)]
Tolerance = Annotated[float, Range(0, 1e30, above=True, unit="nats")]

# features
Features = Annotated[int, Range(1, 2**16)]
Place = Annotated[int, Range(0, 2**16)]
Channels = Annotated[int, Range(1, 2**12)]

# environments
Lengths = Literal["uniform", "log_uniform", "mixed"]
CorridorLength = Annotated[int, Range(3, 10**6, unit="cells")]
Corridors = Annotated[int, Range(1, 10**5)]
MazeLength = Annotated[int, Range(1, 10**6, unit="steps")]
Rooms = Annotated[int, Range(2, 10**5)]
RoomCode = Literal["one-hot", "binary"]
RoomSize = Annotated[int, Range(3, 101, unit="cells")]
Colours = Annotated[int, Range(2, 6)]
Mistakes = Annotated[int, Range(0, 10**6)]
Pays = Literal["every", "first"]
LineCount = Annotated[int, Range(4, 10**6, unit="lines")]
LineLength = Annotated[int, Range(1, 1000, unit="words")]
Split = Literal["train", "test"]
Revisions = Literal["never", "replace", "cancel", "any"]
Chatter = Literal["grammar", "light"]
Cost = Annotated[float, Range(0, 1e6)]
Deviation = Annotated[float, Range(0, 1e30)]
StepLimit = Annotated[int, Range(1, 2**53, unit="steps")]
FrameStack = Annotated[int, Range(1, 1000, unit="observations")]

# sequence tasks
Delay = Annotated[int, Range(0, 2**40, unit="steps")]
ShortestDelay = Annotated[int, Range(1, 2**40, unit="steps")]
Symbols = Annotated[int, Range(1, 2**12)]
Alphabet = Annotated[int, Range(2, 2**12)]
ParticleColours = Annotated[int, Range(1, 256)]

# runs
Seed = Annotated[int, Range(0, 2**32 - 1)]
LeastDeviation = Annotated[float, Range(0, 1, above=True)]
RewardScale = Annotated[float, Range(0, 1e12, above=True)]
Number = Annotated[int, Range(1, 1_000_000)]
Rate = Annotated[float, Range(0, 1)]
Capacity = Annotated[int, Range(1, EXACT, unit="memories")]
Alive = Annotated[float, Range(0, 1e12, unit="memories")]
Jobs = Annotated[int, Range(0, 4096)]
Retries = Annotated[int, Range(0, 1_000_000)]
GPUs = Annotated[float, Range(0, 2**10)]
Searched = Annotated[int, Range(0, 2**20)]
Threads = Annotated[int, Range(1, 4096)]
