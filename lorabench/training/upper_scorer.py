"""Ask many adapters the same questions: what lies below all of them is computed once for all.

A cohort's adapters change the upper layers of one base. Up to the lowest layer that one changes, base
and adapters hold the same states, so those are computed once per question (`LowerCache`), and each
adapter runs the upper layers alone, with its change merged into them for that moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from lorabench.adapters import CheckedAdapter
from lorabench.errors import BindingError
from lorabench.models.binding import check_fits
from lorabench.models.forward import Prefix, batches, common_prefix, read_row, run_prefix, run_suffixes
from lorabench.models.opening import choose_device
from lorabench.models.rendering import Renderer
from lorabench.models.rows import TokenRow
from lorabench.results import LabelTask, PlacedText
from lorabench.scoring.labels import label_ids
from lorabench.training.answering import Example
from lorabench.training.lower_cache import LowerCache
from lorabench.training.student import open_base

_TOKENS = 1024


class UpperScorer:
    """One base, one list of texts, and the states below a layer; adapters come and go.

    Attributes:
        first_layer: Lowest layer that an adapter may change.
        texts: What is asked.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        task: LabelTask,
        texts: Sequence[str],
        first_layer: int,
        *,
        device: str = "auto",
    ) -> None:
        """Open the base and compute the states that enter `first_layer`.

        Raises:
            TrainingError: If the base is not built of plain blocks, or the states need too much memory.
        """
        self.first_layer, self.texts = first_layer, tuple(texts)
        self._device = torch.device(choose_device(device))
        self._model: Any = open_base(folder, name, for_head=False).to(self._device).eval()
        self._model.requires_grad_(False)
        renderer = Renderer(folder)
        self._labels = label_ids(task, renderer)
        self._lower = LowerCache(self._model, first_layer, self._device)
        asked = [renderer.render(task, PlacedText(text=t)).ids for t in self.texts]
        with torch.inference_mode():
            examples = self._lower.take([Example(ids=ids, answer=()) for ids in asked], renderer.pad_id)
        self._rows = [e.ids for e in examples]

    def label_logits(self, adapter: CheckedAdapter | None) -> list[tuple[float, ...]]:
        """Return the label logits of every text, by the base (None) or with an adapter.

        Raises:
            BindingError: If the adapter does not fit, or changes a layer below `first_layer`.
        """
        with self._merged(adapter), torch.inference_mode():
            shared = common_prefix(self._rows)
            prefix = (
                run_prefix(self._lower, self._rows[0][:shared], self._device) if shared else Prefix((), None)
            )
            found: dict[int, tuple[float, ...]] = {}
            for group in batches([len(r) - shared for r in self._rows], _TOKENS):
                suffixes = [self._rows[i][shared:] for i in group]
                logits = run_suffixes(self._lower, prefix, suffixes, 1, 0, self._device)
                for k, i in enumerate(group):
                    row = TokenRow(ids=self._rows[i], labels=self._labels)
                    found[i] = read_row(logits[k], row).label_logits
        return [found[i] for i in range(len(self._rows))]

    def _check_layers(self, adapter: CheckedAdapter) -> None:
        upper = tuple(f"model.layers.{i}." for i in range(self.first_layer, len(self._model.model.layers)))
        low = next((m.name for m in adapter.modules if not m.name.startswith(upper)), None)
        if low is not None:
            raise BindingError(
                "layer-too-low",
                f"The adapter changes {low!r}, below the layer {self.first_layer} from which it is asked.",
                "Ask it from its own lowest layer.",
            )

    @contextmanager
    def _merged(self, adapter: CheckedAdapter | None) -> Iterator[None]:
        """Put an adapter's change into the weights; after the block they are, bit by bit, what they were."""
        kept: list[tuple[torch.nn.Parameter, torch.Tensor]] = []
        if adapter is not None:
            check_fits(self._model, adapter)
            self._check_layers(adapter)
        try:
            modules = dict(self._model.named_modules())
            for m in adapter.modules if adapter is not None else ():
                weight = modules[m.name].weight
                kept.append((weight, weight.detach().clone()))
                a, b = (torch.from_numpy(x.copy()).to(self._device) for x in (m.a, m.b))
                with torch.no_grad():
                    weight.add_(b @ a, alpha=m.scale)
            yield
        finally:
            with torch.no_grad():
                for weight, before in kept:
                    weight.copy_(before)
