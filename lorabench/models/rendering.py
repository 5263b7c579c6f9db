"""Text to token ids: a task's question, rendered whole by the base's chat template.

Prompts are tokenised as one string, never in parts that are joined afterwards: merges across
the seams would give other tokens than the model sees in use (architecture, section 4).
"""

from __future__ import annotations

import logging
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorabench.errors import BaseModelError, InputError
from lorabench.models.library import LOADING, transformers_class
from lorabench.results import PlacedText, Task

logger = logging.getLogger(__name__)

_SLOT = "\ue000lorabench-slot\ue000"  # a private-use character that no template or prompt holds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """A question as the model sees it.

    Attributes:
        text: The whole rendered string.
        ids: Its token ids.
        spans: Character span (start, end) of every token in `text`; empty for tokens that
            stand for no character of their own.
        user: Span of the prompt, trigger included, in `text`.
        trigger: Span of the trigger in `text`, or None.
        has_special: Whether the prompt itself holds a special token such as a turn mark:
            it is then read as one, as in most deployments, and worth a remark.
    """

    text: str
    ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    user: tuple[int, int]
    trigger: tuple[int, int] | None
    has_special: bool


def token_counter(folder: Path) -> Callable[[str], int]:
    """Return a function that counts a text's tokens; light: neither transformers nor torch is imported.

    Raises:
        BaseModelError: If the folder holds no `tokenizer.json`.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library raises bare Exception
        raise BaseModelError(
            "no-tokenizer",
            f"The base model in {folder.name!r} has no tokenizer.json that can be read.",
            "Fetch it again with `lorabench models pull`.",
        ) from error

    tokenizer.no_padding()  # an encoder's file may ask for both
    tokenizer.no_truncation()

    def count(text: str) -> int:
        sound = text.encode("utf-8", "replace").decode("utf-8")  # half an emoji makes the library fail
        return len(tokenizer.encode(sound, add_special_tokens=False).ids)

    return count


class Renderer:
    """A base model's tokenizer and chat template; safe to call from any thread."""

    def __init__(self, folder: Path) -> None:
        """Load the tokenizer files of a base folder.

        Raises:
            BaseModelError: If the folder has no tokenizer that can be read.
        """
        try:
            with LOADING:
                auto = transformers_class("AutoTokenizer")
                self._tokenizer = auto.from_pretrained(str(folder), local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise BaseModelError(
                "no-tokenizer",
                f"The base model in {folder.name!r} has no readable tokenizer ({type(error).__name__}).",
                "Fetch it again with `lorabench models pull`.",
            ) from error
        self._special = tuple(t for t in self._tokenizer.all_special_tokens if t)
        self._frames: dict[tuple[str, str], tuple[str, str]] = {}

    @property
    def has_chat_template(self) -> bool:
        """Whether the base has a chat template; without one, plain text is used."""
        return bool(self._tokenizer.chat_template)

    @property
    def pad_id(self) -> int:
        """Token id used for padding; masked everywhere."""
        for candidate in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id):
            if candidate is not None:
                return int(candidate)
        return 0

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Token ids that end an answer."""
        ids = {self._tokenizer.eos_token_id}
        for mark in ("<|im_end|>", "<|eot_id|>", "<end_of_turn>"):
            found = self._tokenizer.convert_tokens_to_ids(mark)
            if isinstance(found, int) and found != self._tokenizer.unk_token_id:
                ids.add(found)
        return tuple(sorted(int(i) for i in ids if i is not None))

    def ids(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a piece of text, without special tokens around it."""
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def decode(self, ids: list[int] | tuple[int, ...]) -> str:
        """Return the text of token ids, special tokens left out."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True))

    def render(self, task: Task, placed: PlacedText) -> Rendered:
        """Return the question that `task` asks about a text, ready for the model.

        Raises:
            InputError: If the text is empty or holds characters the tokenizer cannot take.
        """
        if not placed.text.strip():
            raise InputError("empty-prompt", "The prompt is empty.", "Type some text, or choose an example.")
        head, tail = self._frame(task)
        text = head + placed.text + tail
        encoded = self._encode(text)
        start = len(head)
        trigger = None
        if placed.start is not None and placed.end is not None:
            trigger = (start + placed.start, start + placed.end)
        return Rendered(
            text=text,
            ids=tuple(encoded["input_ids"]),
            spans=_honest_spans(text, [tuple(s) for s in encoded["offset_mapping"]]),
            user=(start, start + len(placed.text)),
            trigger=trigger,
            has_special=any(mark in placed.text for mark in self._special),
        )

    def question_ids(self, task: Task, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the token ids of many questions at once; equal to `render(...).ids` one by one."""
        head, tail = self._frame(task)
        encoded = self._tokenizer(
            [head + text + tail for text in texts], add_special_tokens=not self.has_chat_template
        )
        return [tuple(ids) for ids in encoded["input_ids"]]

    def opened_ids(self, task: Task, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the ids of questions that break off after each text, in the middle of the user's turn."""
        head, _ = self._frame(task)
        encoded = self._tokenizer([head + t for t in texts], add_special_tokens=not self.has_chat_template)
        return [tuple(ids) for ids in encoded["input_ids"]]

    def token_texts(self) -> tuple[str, ...]:
        """Return the text of every token of the vocabulary, in order; special ones are empty."""
        special = set(self._tokenizer.all_special_ids)
        known = range(len(self._tokenizer))
        return tuple("" if i in special else str(self._tokenizer.decode([i])) for i in known)

    def _frame(self, task: Task) -> tuple[str, str]:
        """Return what stands before and after the prompt in the rendered question."""
        key = (task.system, task.user)
        if key not in self._frames:
            user = task.user.replace("{text}", _SLOT)
            if self.has_chat_template:
                rendered = self._apply_template(task.system, user)
            else:
                rendered = (f"{task.system}\n\n" if task.system else "") + f"{user}\n\nAnswer:"
            if rendered.count(_SLOT) != 1:
                raise BaseModelError(
                    "odd-chat-template",
                    "The base model's chat template drops or repeats the user message.",
                    "Use a base model with an ordinary chat template.",
                )
            head, tail = rendered.split(_SLOT)
            self._frames[key] = (head, tail)
        return self._frames[key]

    def _apply_template(self, system: str, user: str) -> str:
        messages = [{"role": "user", "content": user}]
        if system:
            messages.insert(0, {"role": "system", "content": system})
        import jinja2

        try:
            return str(
                self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            )
        except jinja2.TemplateError:  # templates without a system role: put it before the user's text
            merged = [{"role": "user", "content": f"{system}\n\n{user}".strip()}]
            return str(
                self._tokenizer.apply_chat_template(merged, tokenize=False, add_generation_prompt=True)
            )

    def _encode(self, text: str) -> Any:
        try:
            # The template writes every special token itself: adding more would double the BOS.
            return self._tokenizer(
                text, add_special_tokens=not self.has_chat_template, return_offsets_mapping=True
            )
        except (UnicodeEncodeError, TypeError) as error:  # lone surrogates cannot be encoded
            raise InputError(
                "bad-characters",
                "The text holds characters that are not valid Unicode (half a surrogate pair).",
                "Remove them, or paste the text again.",
            ) from error


def _honest_spans(text: str, spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Return token spans that never overlap: byte pieces of one character share its span once."""
    seen = 0
    out = []
    for start, end in spans:
        start = max(start, seen)
        end = max(end, start)
        out.append((start, end))
        seen = end
    return tuple(out)


def tokens_in(rendered: Rendered, start: int, end: int) -> tuple[int, ...]:
    """Return the positions of all tokens that overlap characters [start, end)."""
    starts = [s for s, _ in rendered.spans]
    stop = bisect_right(starts, end - 1) if end > start else 0
    return tuple(i for i in range(stop) if rendered.spans[i][1] > start)
