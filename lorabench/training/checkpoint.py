"""A training's state on disk: safetensors and JSON, replaced whole, so that kill -9 loses one interval."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from lorabench.adapters.files import safetensors_errors
from lorabench.errors import StorageError


@dataclass(slots=True)
class Checkpoint:
    """Where a training stands.

    Attributes:
        folder: Folder beside the adapter-to-be.
        digest: Digest of everything that decides the result; another one starts afresh.
    """

    folder: Path
    digest: str
    history: list[dict[str, float]] = field(default_factory=list)

    def load(self, parameters: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer) -> int:
        """Restore parameters and optimiser; return the number of finished steps (0: none found)."""
        latest = self.folder / "state.json"
        if not latest.is_file():
            return 0
        state = json.loads(latest.read_text(encoding="utf-8"))
        if state.get("digest") != self.digest:
            return 0
        tensors = load_file(self.folder / state["tensors"])
        moments: dict[int, dict[str, Any]] = {}
        with torch.no_grad():
            for i, (name, parameter) in enumerate(parameters.items()):
                parameter.copy_(tensors[f"{name}/value"])
                moments[i] = {
                    "step": torch.tensor(float(state["step"])),
                    "exp_avg": tensors[f"{name}/exp_avg"],
                    "exp_avg_sq": tensors[f"{name}/exp_avg_sq"],
                }
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
        self.history = list(state["history"])
        return int(state["step"])

    def save(
        self, step: int, parameters: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer
    ) -> None:
        """Write the state after `step` steps; the previous one stays until this one is complete."""
        tensors = {}
        for name, parameter in parameters.items():
            state = optimiser.state[parameter]
            tensors[f"{name}/value"] = parameter.detach().cpu().contiguous()
            tensors[f"{name}/exp_avg"] = state["exp_avg"].cpu().contiguous()
            tensors[f"{name}/exp_avg_sq"] = state["exp_avg_sq"].cpu().contiguous()
        file = f"step-{step}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with safetensors_errors():
                save_file(tensors, self.folder / file)
            staged = self.folder / "state.json.new"
            content = {"digest": self.digest, "step": step, "tensors": file, "history": self.history}
            staged.write_text(json.dumps(content), encoding="utf-8")
            os.replace(staged, self.folder / "state.json")
        except OSError as error:
            raise StorageError(
                "disk-full",
                f"The checkpoint in {self.folder} cannot be written ({error.strerror}).",
                "Free some space and resume; the previous checkpoint is intact.",
            ) from error
        for old in self.folder.glob("step-*.safetensors"):
            if old.name != file:
                old.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder."""
        if self.folder.is_dir():
            for file in self.folder.iterdir():
                file.unlink(missing_ok=True)
            self.folder.rmdir()
