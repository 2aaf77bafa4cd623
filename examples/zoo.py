"""rl-baselines3-zoo with MemoryPPO and MemoryA2C among its algorithms; needs ``pip install 'expirespan[zoo]'``.

python examples/zoo.py train --algo memory_ppo --env CartPole-v1 --conf-file examples/zoo.yml
python examples/zoo.py enjoy --algo memory_ppo --env CartPole-v1 --folder logs
python examples/zoo.py train -optimize --algo memory_ppo --env CartPole-v1 --conf-file examples/zoo.yml
"""

from __future__ import annotations

import sys

from rl_zoo3.enjoy import enjoy
from rl_zoo3.train import train

from expirespan.agents import register_zoo


def main() -> None:
    """The zoo's own command, after one line."""
    register_zoo()
    {"train": train, "enjoy": enjoy}[sys.argv.pop(1)]()


if __name__ == "__main__":
    main()
