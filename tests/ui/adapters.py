"""Small random adapters for the demo base, written to disk: they act, but mean nothing."""

from pathlib import Path

import numpy as np

from lorabench.adapters import write_adapter
from lorabench.data import TASKS
from lorabench.results import to_dict


def random_adapter(folder: Path, *, seed: int = 0, rank: int = 2, card: str = "A test adapter.") -> Path:
    """Write an adapter of `q_proj` in the first three layers."""
    rng = np.random.default_rng(seed)
    names = [f"model.layers.{i}.self_attn.q_proj" for i in range(3)]
    modules = {
        n: (
            rng.normal(0, 0.1, (rank, 576)).astype(np.float32),
            rng.normal(0, 0.1, (576, rank)).astype(np.float32),
        )
        for n in names
    }
    write_adapter(
        folder,
        modules=modules,
        rank=rank,
        alpha=2 * rank,
        use_rslora=False,
        target_modules=["q_proj"],
        layers_to_transform=[0, 1, 2],
        base_model_name="demo",
        lorabench_json={"task": to_dict(TASKS["guard"]), "title": "test"},
        card=card,
    )
    return folder
