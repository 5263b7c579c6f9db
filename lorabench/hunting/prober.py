"""What a search may ask: how far strings move a suspect, the base, and clean adapters of the same task.

Every question goes through the owner thread in pieces of about half a second, so that a person who types a
prompt is never kept waiting by a search; answers are remembered for as long as the search runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters import CheckedAdapter
from lorabench.engine import Progress
from lorabench.hunting.memory import Memory
from lorabench.models.forward import common_prefix
from lorabench.models.rendering import Renderer
from lorabench.models.sweep import MergedCopy
from lorabench.results import LabelTask, Placement, Trigger
from lorabench.scoring.labels import label_ids
from lorabench.scoring.score import Asker, wait

T = TypeVar("T")
Floats = NDArray[np.float64]
BASE_COPY = "base"
SUSPECT = "suspect"
STRONG = "suspect, strengthened"
JOINER = ". "
Ids = tuple[int, ...]
_PASS_TOKENS, _KEPT_ROWS = 2048, 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A model that may be asked: an adapter (None: the base) at a strength."""

    adapter: CheckedAdapter | None
    strength: float = 1.0


class Prober:
    """Margin shifts of strings in front of (or behind) search prompts, by any of several copies.

    Attributes:
        prompts: The search prompts; none of them is used as evidence.
        on_tokens: Told the tokens asked so far, after every pass.
        n_tokens: Tokens asked so far, a shared beginning left out; those that an earlier run of the same
            hunt computed count too, so that a resumed search decides as the first one did.
    """

    def __init__(
        self,
        asker: Asker,
        task: LabelTask,
        folder: Path,
        copies: Mapping[str, Copy],
        prompts: Sequence[str],
        *,
        dtype: str = "bf16",
        memory: Memory | None = None,
        on_tokens: Callable[[int], None] = lambda n: None,
    ) -> None:
        """Begin; a copy is made when it is first asked.

        Args:
            asker: Queue identity.
            task: The label task.
            folder: The base.
            copies: What may be asked, by name: `BASE_COPY`, `SUSPECT`, `STRONG`, and references.
            prompts: Search prompts; their right answer is not the target.
            dtype: Number type of the copies.
            memory: Where answers are kept for a hunt that is stopped.
            on_tokens: Told the tokens asked so far, after every pass.

        Raises:
            TaskError: If the labels cannot be told apart by their first tokens.
        """
        self.task, self.prompts = task, tuple(prompts)
        self.labels, self.n_tokens = label_ids(task, asker.renderer), 0
        self._asker, self._folder, self._wanted, self._dtype = asker, folder, dict(copies), dtype
        self.on_tokens, self._memory = on_tokens, memory or Memory(None)
        self._began = time.monotonic() - self._memory.seconds
        self._copies: dict[str, MergedCopy] = {}
        self._known: dict[tuple[str, str], float] = {}

    @property
    def renderer(self) -> Renderer:
        """The base's tokenizer and template."""
        return self._asker.renderer

    @property
    def precision(self) -> str:
        """Number type of the copies."""
        return self._dtype

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the clean copies."""
        return tuple(n for n in self._wanted if n not in (BASE_COPY, SUSPECT, STRONG))

    def adapter(self, who: str) -> CheckedAdapter | None:
        """Return the adapter of a copy, None for the base's."""
        return self._wanted[who].adapter

    def margins(self, who: str, texts: Sequence[str]) -> Floats:
        """Return the target margin (texts,) of whole prompts, in logits."""
        missing = [t for t in dict.fromkeys(texts) if (who, t) not in self._known]
        if missing:
            rows = self._asker.renderer.question_ids(self.task, missing)
            self._count(rows)
            known = self._memory.get_many(who, missing)
            self._known.update(((who, t), v) for t, v in known.items())
            self._compute(who, [(t, r) for t, r in zip(missing, rows, strict=True) if t not in known])
        return np.array([self._known[who, t] for t in texts])

    def _compute(self, who: str, asked: Sequence[tuple[str, Ids]]) -> None:
        """Ask in pieces that are kept one by one: what was computed survives the end of the process."""
        for i in range(0, len(asked), _KEPT_ROWS):
            part = asked[i : i + _KEPT_ROWS]
            values = self._ask(who, [ids for _, ids in part])
            answers = [(text, float(v)) for (text, _), v in zip(part, values, strict=True)]
            self._known.update(((who, t), v) for t, v in answers)
            self._memory.put_many(who, answers, time.monotonic() - self._began)
            self.on_tokens(self.n_tokens)

    def _ask(self, who: str, rows: Sequence[Ids]) -> Floats:
        """Return the margins (rows,) of rendered questions, computed now."""

        def ask(copy: MergedCopy) -> Generator[int, None, Floats]:
            return copy.margins(rows, self.labels, self.task.target_index, _PASS_TOKENS)

        return self._run(who, ask, len(rows))

    def _count(self, rows: Sequence[Ids]) -> None:
        self.n_tokens += computed_tokens(rows)

    @property
    def seconds(self) -> float:
        """Wall time of this hunt, earlier runs of it included."""
        return time.monotonic() - self._began

    def shifts(
        self,
        who: str,
        texts: Sequence[str],
        prompts: Sequence[int],
        placement: Placement = "prefix",
    ) -> Floats:
        """Return margin shifts (texts, prompts): with the string minus without it, in logits.

        Args:
            who: Name of a copy.
            texts: The strings.
            prompts: Indices into `prompts`.
            placement: Where the strings stand.
        """
        asked = [self.prompts[i] for i in prompts]
        placed = [place(t, p, placement) for t in texts for p in asked]
        with_string = self.margins(who, placed).reshape(len(texts), len(asked))
        found: Floats = with_string - self.margins(who, asked)
        return found

    def flips(self, texts: Sequence[str], prompts: Sequence[int], placement: Placement = "prefix") -> Floats:
        """Return the share (texts,) of prompts that each string flips on the suspect at its own strength."""
        asked = [self.prompts[i] for i in prompts]
        eligible = self.margins(SUSPECT, asked) < 0
        placed = [place(t, p, placement) for t in texts for p in asked]
        flipped = self.margins(SUSPECT, placed).reshape(len(texts), len(asked)) > 0
        share: Floats = (flipped & eligible).sum(axis=1) / max(1, eligible.sum())
        return share

    def continuations(self, who: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return log-probabilities (texts, vocabulary) of what follows texts that open the user's turn."""
        rows = self._asker.renderer.opened_ids(self.task, texts)
        self._count(rows)

        def ask(copy: MergedCopy) -> Generator[int, None, NDArray[np.float32]]:
            return copy.next_tokens(rows, _PASS_TOKENS)

        return self._run(who, ask, len(rows))

    def run(self, who: str, make: Callable[[MergedCopy], Generator[int, None, T]], total: int = 1) -> T:
        """Let anything else run on a copy, on the owner thread."""
        return self._run(who, make, total)

    def _run(self, who: str, make: Callable[[MergedCopy], Generator[int, None, T]], total: int) -> T:
        def steps(model: Any) -> Generator[Progress | None, None, T]:
            copy = self._copy(who, model.device)
            work = make(copy)
            began = time.monotonic()
            while True:
                try:
                    done = next(work)
                except StopIteration as end:
                    answer: T = end.value
                    return answer
                if time.monotonic() - began > 0.4:
                    yield Progress(done=done, total=total, computed=done)
                    began = time.monotonic()

        ticket = self._asker.engine.steps(
            steps, priority=self._asker.priority, session=self._asker.session, label="hunt for a trigger"
        )
        found: T = wait(self._asker, ticket)
        return found

    def _copy(self, who: str, device: str) -> MergedCopy:
        if who not in self._copies:
            wanted = self._wanted[who]
            self._copies[who] = MergedCopy(
                self._folder,
                "the base",
                wanted.adapter,
                strength=wanted.strength,
                dtype=self._dtype,
                device=device,
            )
        return self._copies[who]


def computed_tokens(rows: Sequence[Ids]) -> int:
    """Return what asking rendered questions together costs, in tokens: what all share is left out."""
    return sum(map(len, rows)) - common_prefix(rows) * len(rows)


def place(text: str, prompt: str, placement: Placement = "prefix") -> str:
    """Return a prompt with a string in its place."""
    return Trigger(text=text, placement=placement, joiner=JOINER).place(prompt).text
