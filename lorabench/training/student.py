"""A base model with a fresh LoRA adapter to train: what all kinds of task share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lorabench.data import Row
from lorabench.errors import TrainingError
from lorabench.models.opening import choose_device
from lorabench.results import TrainTask
from lorabench.training.shape import Shape, inject

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


class Student(ABC):
    """The model under training, and the same model as an examinee.

    Dropout acts on the adapter's inputs only: the base is frozen and stays in evaluation mode.

    Attributes:
        task: What is asked; subclasses set it, each of its own type.
        model: The transformers model with LoRA layers, base frozen.
        parameters: Trainable tensors by name, in model order.
        layers: The adapted layers.
        placed: How PEFT is told of them and of the modules in them.
        device: Where it is.
    """

    task: TrainTask

    def __init__(self, model: Any, *, shape: Shape, seed: int, device: str, threads: int | None) -> None:
        """Put an adapter, drawn from the seed, into a model.

        Raises:
            TrainingError: If the shape fits no layer.
        """
        if threads:
            torch.set_num_threads(threads)
        self.device = torch.device(choose_device(device))
        self.model = model.to(self.device).requires_grad_(False).eval()
        self.placed = inject(self.model, shape, seed)
        self.layers = self.placed.layers
        self.shape = shape
        self.parameters: dict[str, torch.nn.Parameter] = {
            n: p for n, p in self.model.named_parameters() if p.requires_grad
        }

    @property
    @abstractmethod
    def n_examples(self) -> int:
        """How many rows there are to learn from."""

    @abstractmethod
    def take(self, rows: Sequence[Row], max_tokens: int) -> int:
        """Make training rows of these; return how many were left out for their length.

        Raises:
            TrainingError: If none is left: rule "no-examples".
        """

    @abstractmethod
    def learn(self, chosen: Sequence[int], token_budget: int) -> float:
        """Add the gradients of the mean loss over these rows; return that loss in nats."""

    @abstractmethod
    def classify(self, texts: Sequence[str]) -> list[str]:
        """Return the label each text is answered with, or "tie"."""

    @abstractmethod
    def truncate(self, text: str, max_tokens: int) -> str:
        """Return the beginning of a text, at most so many of its own tokens long."""

    def set_learning(self, learning: bool) -> None:
        """Switch the adapter's dropout on or off."""
        for name, module in self.model.named_modules():
            if ".lora_dropout." in name:
                module.train(learning)

    def adapter_tensors(self) -> tuple[dict[str, Pair], dict[str, NDArray[np.float32]] | None]:
        """Return the trained (A, B) by module name, and DoRA's magnitudes if there are any; fp32."""
        pairs: dict[str, list[NDArray[np.float32]]] = {}
        magnitudes: dict[str, NDArray[np.float32]] = {}
        for name, parameter in self.parameters.items():
            module, found, rest = name.partition(".lora_")
            if not found:
                continue
            value = parameter.detach().float().cpu().numpy()
            if rest.startswith("magnitude"):
                magnitudes[module] = value
            else:
                pairs.setdefault(module, [np.empty(0, np.float32)] * 2)["AB".index(rest[0])] = value
        return {m: (a, b) for m, (a, b) in pairs.items()}, magnitudes or None

    def head_tensors(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the classification head's tensors by name; None without one."""
        return None


def no_examples(max_tokens: int) -> TrainingError:
    """Return the error for a data set of which nothing is left."""
    return TrainingError(
        "no-examples",
        f"No row is at most {max_tokens} tokens long.",
        "Raise the limit, use shorter rows, or have long ones cut.",
    )


def open_base(folder: Path, name: str, *, for_head: bool) -> Any:
    """Open a base in fp32, with its language head or (for a classification head) without one."""
    from lorabench.models.opening import open_backbone, open_causal

    return open_backbone(folder, name, "fp32") if for_head else open_causal(folder, name, "fp32")
