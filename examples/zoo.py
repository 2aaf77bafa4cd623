"""rl-baselines3-zoo with MemoryPPO and MemoryA2C among its algorithms; needs ``pip install rl_zoo3``.

python examples/zoo.py train --algo memory_ppo --env CartPole-v1 --conf-file examples/zoo.yml
python examples/zoo.py enjoy --algo memory_ppo --env CartPole-v1 --folder logs
"""

from __future__ import annotations

import sys

from rl_zoo3.enjoy import enjoy
from rl_zoo3.train import train
from rl_zoo3.utils import ALGOS

from expirespan.agents import MemoryA2C, MemoryPPO

ALGOS.update(memory_ppo=MemoryPPO, memory_a2c=MemoryA2C)

if __name__ == "__main__":
    {"train": train, "enjoy": enjoy}[sys.argv.pop(1)]()
