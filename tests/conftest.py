"""What every test process sets, and where the fixtures that several folders share come from."""

import os

import torch

# On models this small more threads are slower, and the suite runs in several processes. The variable is for
# the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
torch.set_num_threads(1)

pytest_plugins = [
    "tests.fixtures.models",
    "tests.fixtures.bundled_models",
    "tests.fixtures.guides",
    "tests.fixtures.hub.hubs",
]
