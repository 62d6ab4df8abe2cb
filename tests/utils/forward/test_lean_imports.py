"""What `python app.py` leaves out of its imports is not needed: models run as in any other process."""

import json
import subprocess
import sys
from pathlib import Path

from utils.live.service import LiveService

ROOT = Path(__file__).resolve().parents[3]
TEXT = "The king gave the boy a golden ring"
CODE = """
import json, sys
from utils.forward.lean_imports import lean_imports
with lean_imports():
    import utils.forward.pyvene_adapter
    import dash
from utils.live.service import LiveService
from utils.models.store import ModelStore
logits = LiveService(ModelStore()).next_token_logits("demo-llama", sys.argv[1], [])
left_out = {"torch._dynamo", "sympy", "accelerate", "scipy.optimize", "networkx", "matplotlib.pyplot"}
left_out.add("IPython")
found = sorted(left_out & sys.modules.keys())
import torch, transformers.utils
import IPython, matplotlib.pyplot, networkx
from torch._dynamo._trace_wrapped_higher_order_op import TransformGetItemToIndex
back = [networkx.Graph, matplotlib.pyplot.figure, TransformGetItemToIndex, torch.compiler.disable(len)]
print(json.dumps([found, transformers.utils.is_torch_distributed_available(), len(back), logits.tolist()]))
"""


def test_a_model_runs_the_same_without_them_and_they_can_be_had_later(service: LiveService) -> None:
    run = subprocess.run(
        [sys.executable, "-c", CODE, TEXT], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    found, distributed, count, logits = json.loads(run.stdout)
    assert (found, distributed, count) == ([], True, 4)
    expected = service.next_token_logits("demo-llama", TEXT, []).tolist()
    assert max(abs(one - other) for one, other in zip(logits, expected, strict=True)) < 1e-4
