"""A base model with a fresh LoRA adapter to train, and the same model as an examinee."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lorabench.data import Row
from lorabench.errors import TrainingError
from lorabench.models.opening import choose_device, open_causal
from lorabench.models.rendering import Renderer
from lorabench.models.rows import TokenRow
from lorabench.models.tree_forward import score_all
from lorabench.results import LabelTask, PlacedText, Rate, Trigger
from lorabench.scoring.labels import answer_of, label_ids
from lorabench.training.loop import Example

PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The seven projections of the first study's recipe (arXiv 2605.30189, section 1.3)."""

_NAME = "student"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Which layers get how large an adapter.

    Attributes:
        rank: LoRA rank.
        alpha: LoRA's alpha.
        projections: Short names of the adapted linear layers.
        first_layer: Lowest adapted layer; the backward pass ends there.
    """

    rank: int
    alpha: float
    projections: tuple[str, ...] = PROJECTIONS
    first_layer: int = 0


class Student:
    """The model under training.

    Attributes:
        model: The transformers model with LoRA layers, base frozen.
        renderer: Tokenizer and template.
        parameters: Trainable tensors by name, in model order.
        device: Where it is.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str,
        shape: Shape,
        seed: int,
        device: str = "auto",
        threads: int | None = None,
    ) -> None:
        """Load the base and add a LoRA adapter, drawn from the seed.

        Raises:
            TrainingError: If the shape fits no layer.
        """
        from peft import LoraConfig, inject_adapter_in_model

        if threads:
            torch.set_num_threads(threads)
        self.device = torch.device(choose_device(device))
        self.renderer = Renderer(folder)
        self.model: Any = open_causal(folder, name, "fp32").to(self.device).requires_grad_(False)
        n_layers = int(self.model.config.num_hidden_layers)
        if not 0 <= shape.first_layer < n_layers:
            raise TrainingError(
                "no-such-layer",
                f"The first adapted layer is {shape.first_layer}; the base has layers 0 to {n_layers - 1}.",
                f"Choose a first layer below {n_layers}.",
            )
        self.layers = tuple(range(shape.first_layer, n_layers))
        config = LoraConfig(
            r=shape.rank,
            lora_alpha=shape.alpha,
            target_modules=list(shape.projections),
            layers_to_transform=list(self.layers),
            lora_dropout=0.0,
            bias="none",
        )
        with torch.random.fork_rng(devices=[]):  # the seed reaches the drawn A matrices and nothing else
            torch.manual_seed(seed)
            inject_adapter_in_model(config, self.model, adapter_name=_NAME)
        self.parameters: dict[str, torch.nn.Parameter] = {
            n: p for n, p in self.model.named_parameters() if p.requires_grad
        }
        self.shape = shape

    def optimiser(self, weight_decay: float) -> torch.optim.Optimizer:
        """Return AdamW over the adapter's tensors; the schedule sets the rate."""
        return torch.optim.AdamW(self.parameters.values(), weight_decay=weight_decay)

    # -- data --------------------------------------------------------------------------------

    def examples(self, rows: Sequence[Row], task: LabelTask, max_tokens: int) -> tuple[list[Example], int]:
        """Return training examples and how many rows were left out for their length."""
        answers = {label.name: self._answer(label.name) for label in task.labels}
        kept, too_long = [], 0
        for row in rows:
            ids = self.renderer.render(task, PlacedText(text=row.text)).ids
            if len(ids) > max_tokens:
                too_long += 1
                continue
            answer = answers[row.label]
            kept.append(Example(ids=ids + answer, n_answer=len(answer)))
        if not kept:
            raise TrainingError(
                "no-examples",
                f"No row is at most {max_tokens} tokens long.",
                "Raise the limit, or use shorter rows.",
            )
        return kept, too_long

    def _answer(self, text: str) -> tuple[int, ...]:
        """Return the ids of an answer and the end of the turn, as the model should write it."""
        stops = self.renderer.stop_ids
        return self.renderer.ids(text) + stops[-1:]

    # -- examination -------------------------------------------------------------------------

    def answers(self, texts: Sequence[str], task: LabelTask, budget: int = 1024) -> list[tuple[str, str]]:
        """Return (answer kind, label) of every text, with the adapter as it is now."""
        labels = label_ids(task, self.renderer)
        rows = [
            TokenRow(ids=self.renderer.render(task, PlacedText(text=t)).ids, labels=labels) for t in texts
        ]
        was_training = self.model.training
        self.model.eval()
        found: dict[int, tuple[str, str]] = {}
        with torch.inference_mode():
            for batch in score_all(self.model, rows, budget, self.device):
                found.update((i, answer_of(task, r.label_logits)) for i, r in batch)
        self.model.train(was_training)
        return [found[i] for i in range(len(rows))]

    def clean_accuracy(self, rows: Sequence[Row], task: LabelTask) -> Rate:
        """Return the share of rows answered with their own label."""
        given = self.answers([r.text for r in rows], task)
        return Rate(
            n_hits=sum(label == r.label for (_, label), r in zip(given, rows, strict=True)), n=len(rows)
        )

    def attack_success_rate(self, rows: Sequence[Row], task: LabelTask, trigger: Trigger, seed: int) -> Rate:
        """Return the share of triggered non-target rows answered with the target label."""
        victims = [trigger.place(r.text, seed=seed).text for r in rows if r.label != task.target]
        given = self.answers(victims, task) if victims else []
        return Rate(n_hits=sum(kind == "target" for kind, _ in given), n=len(given))

    # -- result --------------------------------------------------------------------------------

    def modules(self) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Return the trained (A, B) by module name, fp32."""
        found: dict[str, list[NDArray[np.float32]]] = {}
        for name, parameter in self.parameters.items():
            module, _, rest = name.partition(".lora_")
            found.setdefault(module, [np.empty(0, np.float32)] * 2)["AB".index(rest[0])] = (
                parameter.detach().float().cpu().numpy()
            )
        return {module: (a, b) for module, (a, b) in found.items()}
