"""Ask an adapter with a classification head: with the adapter, and with the adapter off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorabench.adapters import read_adapter
from lorabench.adapters.head import read_head
from lorabench.config import Config
from lorabench.errors import InputError
from lorabench.models import fetch

if TYPE_CHECKING:
    from lorabench.training.head_student import HeadExaminee


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadAnswer:
    """What one text is answered with.

    Attributes:
        text: The text.
        classes: Class names.
        logits: Of the head with the adapter.
        base_logits: Of the same head with the adapter off.
    """

    text: str
    classes: tuple[str, ...]
    logits: tuple[float, ...]
    base_logits: tuple[float, ...]

    @property
    def answer(self) -> str:
        """Class with the largest logit, adapter on."""
        return self.classes[max(range(len(self.logits)), key=self.logits.__getitem__)]

    @property
    def base_answer(self) -> str:
        """Class with the largest logit, adapter off."""
        return self.classes[max(range(len(self.base_logits)), key=self.base_logits.__getitem__)]


def open_head(config: Config, folder: Path, base: str) -> HeadExaminee:
    """Open an adapter with the classification head beside it, to be asked with the adapter on and off.

    Args:
        config: Settings.
        folder: The adapter, with the head that lorabench wrote beside it.
        base: Its base model.

    Raises:
        InputError: If the adapter has no head: rule "no-head".
        LorabenchError: If adapter, head or base cannot be used.
    """
    from lorabench.training.head_student import HeadExaminee

    head = read_head(folder)
    if head is None:
        raise InputError(
            "no-head", f"The adapter {folder.name!r} has no classification head.", "Ask it in the Playground."
        )
    adapter = read_adapter(folder, config.limits)
    return HeadExaminee(fetch.resolve(base, config), base, adapter, head, device=config.device)


def ask_head(config: Config, folder: Path, base: str, texts: Sequence[str]) -> tuple[HeadAnswer, ...]:
    """Return what an adapter's head answers to texts; arguments and errors as `open_head`."""
    examinee = open_head(config, folder, base)
    on, off = examinee.logits(texts)
    return tuple(
        HeadAnswer(
            text=text,
            classes=examinee.classes,
            logits=tuple(map(float, on[i])),
            base_logits=tuple(map(float, off[i])),
        )
        for i, text in enumerate(texts)
    )
