"""``python -m expirespan``: the command ``expirespan``."""

import sys

from expirespan.experiments.cli import main

if __name__ == "__main__":
    sys.exit(main())
