"""Agents learn on a device other than the host, and the host does not wait for it more often than it must.

PyTorch takes one fake device per process and keeps it, so `on_labelled_device.py` runs in a separate process.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_agents_on_a_labelled_device():
    cases = Path(__file__).with_name("on_labelled_device.py")
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", cases]
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
