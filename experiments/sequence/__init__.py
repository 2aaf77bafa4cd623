"""Sequence tasks: streams of tokens read through a memory, block after block, with the state carried across.

Start reading at ``stream.py`` (what a task is), then ``copying.py`` (the smallest) and ``trainer.py`` (the loop).
"""

from expirespan.experiments.sequence.config import SequenceConfig
from expirespan.experiments.sequence.model import SequenceModel
from expirespan.experiments.sequence.stream import Block, Stream
from expirespan.experiments.sequence.train import SequenceResult, train_sequence

__all__ = ["Block", "SequenceConfig", "SequenceModel", "SequenceResult", "Stream", "train_sequence"]
