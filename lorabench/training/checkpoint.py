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

Parameters = dict[str, torch.nn.Parameter]


@dataclass(slots=True)
class Checkpoint:
    """Where a training stands.

    Attributes:
        folder: Folder beside the adapter-to-be.
        digest: Digest of everything that decides the result; another one starts afresh.
        history: One record a step, JSON values.
    """

    folder: Path
    digest: str
    history: list[dict[str, Any]] = field(default_factory=list)

    def load(self, parameters: Parameters, optimiser: torch.optim.Optimizer) -> int:
        """Restore parameters and optimiser; return the number of finished steps (0: none found)."""
        latest = self.folder / "state.json"
        if not latest.is_file():
            return 0
        state = json.loads(latest.read_text(encoding="utf-8"))
        if state.get("digest") != self.digest:
            return 0
        tensors = load_file(self.folder / state["tensors"])
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors.pop(f"{name}/value"))
                kept: dict[str, Any] = dict(state["numbers"].get(name, {}))
                for key in [k for k in tensors if k.startswith(f"{name}/state/")]:
                    value = tensors.pop(key)
                    # AdamW keeps its step count on the CPU, its moments beside the parameter.
                    kept[key.rsplit("/", 1)[-1]] = value.to(parameter.device) if value.ndim else value
                optimiser.state[parameter] = kept
        self.history = list(state["history"])
        return int(state["step"])

    def save(self, step: int, parameters: Parameters, optimiser: torch.optim.Optimizer) -> None:
        """Write the state after `step` steps; the previous one stays until this one is complete.

        Raises:
            StorageError: If the disk is full or cannot be written.
        """
        tensors: dict[str, torch.Tensor] = {}
        numbers: dict[str, dict[str, Any]] = {}
        for name, parameter in parameters.items():
            tensors[f"{name}/value"] = parameter.detach().cpu().contiguous()
            for key, value in optimiser.state[parameter].items():
                if isinstance(value, torch.Tensor):
                    tensors[f"{name}/state/{key}"] = value.detach().cpu().contiguous()
                else:
                    numbers.setdefault(name, {})[key] = value
        file = f"step-{step}.safetensors"
        content = {
            "digest": self.digest,
            "step": step,
            "tensors": file,
            "numbers": numbers,
            "history": self.history,
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with safetensors_errors():
                save_file(tensors, self.folder / file)
            staged = self.folder / "state.json.new"
            staged.write_text(json.dumps(content), encoding="utf-8")
            os.replace(staged, self.folder / "state.json")
        except OSError as error:
            for half in (self.folder / file, self.folder / "state.json.new"):
                half.unlink(missing_ok=True)
            raise StorageError(
                "disk-full",
                f"The checkpoint in {self.folder} cannot be written ({error.strerror or error}).",
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
