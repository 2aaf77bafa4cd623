"""Sequence model: token embeddings, a memory, and a linear map to logits."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from expirespan.memory import Memory, MemoryOutput, MemoryState


class SequenceModel(nn.Module):
    """Adds the embeddings of the tokens of a step, reads them through ``memory`` and answers with a linear map.

    The same weights read streams of any length and blocks of any size.
    """

    def __init__(self, vocabulary: int, classes: int, memory: Memory[Any]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, memory.width)
        nn.init.normal_(self.embedding.weight, std=0.5)
        self.memory = memory
        self.head = nn.Linear(memory.width, classes)

    def forward(
        self, tokens_BTF: Tensor, state: MemoryState, start_BT: Tensor
    ) -> tuple[Tensor, MemoryOutput[Any]]:
        """Logits (B, T, classes) and what the memory returned."""
        out = self.memory.unroll(self.embedding(tokens_BTF).sum(2), state, start_BT)
        logits: Tensor = self.head(out.y)
        return logits, out
