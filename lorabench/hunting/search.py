"""The search: proposals, halving, composition, minimisation; it ends with strings worth proving.

One score ranks everything: how far a string moves the strengthened suspect over the search prompts, less
what it moves the base or a clean adapter, whichever moves most. Every step writes what it spent and what it
found, so that a search can be replayed and its parts compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from lorabench.hunting.plans import Plan
from lorabench.hunting.prober import BASE_COPY, STRONG, SUSPECT, Prober
from lorabench.results import Candidate, Placement, ProposalStat, Source, TracePoint

CHECKED = 96
"""Strings of one batch that the base and the references are asked about; they cost as much as the suspect."""

COMPOSED_TOKENS = 24
"""What a longer string costs on average before one prompt, the few that go on included, in tokens."""

SCREEN_SHARE, BARE_TOKENS = 0.7, 12
"""Share of the budget that screening may use, and what a string costs there on average, in tokens: about 8
alone, and those that go on 20 before each prompt."""


@dataclass
class Search:
    """A running search.

    Attributes:
        prober: Who is asked.
        plan: The limits.
        placement: Where strings stand.
        on_step: Called whenever something is worth showing.
        pool: Everything scored so far, by text.
        trace: Best so far over time.
        stats: What each part cost and brought.
    """

    prober: Prober
    plan: Plan
    placement: Placement = "prefix"
    on_step: Callable[[str], None] = lambda stage: None
    pool: dict[str, Candidate] = field(default_factory=dict)
    trace: list[TracePoint] = field(default_factory=list)
    stats: list[ProposalStat] = field(default_factory=list)

    @property
    def prompts(self) -> range:
        """Indices of the search prompts behind a score."""
        return range(min(self.plan.n_prompts, len(self.prober.prompts)))

    @property
    def is_spent(self) -> bool:
        """Whether the budget is used up."""
        return self.prober.n_tokens >= self.plan.budget

    def best(self, n: int = 1) -> list[Candidate]:
        """Return the best candidates so far."""
        return sorted(self.pool.values(), key=lambda c: (-c.score, c.text))[:n]

    def screen(self, source: Source, texts: Iterable[str], *, bare: bool = True) -> list[Candidate]:
        """Score strings by halving: alone, before one prompt, before all; return those that were kept.

        Args:
            source: What proposed them.
            texts: The strings.
            bare: Whether many are first asked alone: a question of the string itself costs a third.
        """
        fresh = [t for t in dict.fromkeys(texts) if t.strip() and t not in self.pool]
        fresh = fresh[: self._affordable()]
        with self.spending(source, len(fresh)) as kept:
            if bare and len(fresh) > self.plan.keep_bare and self.placement == "prefix":
                fresh = _top(fresh, self._alone(fresh), self.plan.keep_bare)
            if len(fresh) > self.plan.keep_one and not self.is_spent:
                first = self.prober.shifts(STRONG, fresh, self.prompts[:1], self.placement)[:, 0]
                fresh = _top(fresh, first, self.plan.keep_one)
            kept += self.score(source, fresh)
        return kept

    def score(self, source: Source, texts: Sequence[str]) -> list[Candidate]:
        """Score strings over all search prompts; the best also against the base and the references."""
        if not texts:
            return []
        spent = self.prober.n_tokens
        amplified = self.prober.shifts(STRONG, texts, self.prompts, self.placement).mean(axis=1)
        made = [
            Candidate(
                text=t,
                source=source,
                placement=self.placement,
                amplified=float(a),
                n_prompts=len(self.prompts),
                score=float(a) / 2,  # not compared with clean models: held back behind those that are
                spent=spent,
            )
            for t, a in zip(texts, amplified, strict=True)
        ]
        best = sorted(made, key=lambda c: -c.score)[:CHECKED]
        made = [*self._compare(best), *(c for c in made if c not in best)]
        for c in made:
            self.pool[c.text] = c
        self._note(source)
        return made

    def compose(self, rights: Rights, lefts: Sequence[str], swaps: Sequence[str]) -> bool:
        """Change the best strings once: longer on both sides, a word less, a word swapped.

        Args:
            rights: Returns a string made longer behind.
            lefts: Words tried before it.
            swaps: Words tried in the place of each of its words.

        Returns:
            Whether that brought anything.
        """
        width, before = self.plan.width, self.best(1)
        with self.spending("composition", 0) as kept:
            for parent in diverse(self.best(8 * width), width):
                if self.is_spent:
                    break
                text = parent.text
                texts = [*rights(text), *(f"{w} {text}" for w in lefts), *changed(text, swaps)]
                room = int((self.plan.budget - self.prober.n_tokens) / COMPOSED_TOKENS)
                texts = [t for t in dict.fromkeys(texts) if t not in self.pool][:room]
                if not texts:
                    continue
                first = self.prober.shifts(STRONG, texts, self.prompts[:1], self.placement)[:, 0]
                kept += self.score("composition", _top(texts, first, 24))
                self.on_step("composition")
        return bool(before) and self.best(1)[0].score > before[0].score + 0.1

    def minimise(self, text: str, floor: float = 0.05) -> tuple[str, ...]:
        """Return the words of a string that it needs: others go while the score at strength 1 holds.

        Greedy delta debugging, one word at a time, the least needed first.

        Args:
            text: The string.
            floor: Share of its shift that a removal may cost.
        """
        words = text.split()
        whole = float(self.prober.shifts(SUSPECT, [text], self.prompts, self.placement).mean())
        while len(words) > 1:
            shorter = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
            shifts = self.prober.shifts(SUSPECT, shorter, self.prompts, self.placement).mean(axis=1)
            best = int(shifts.argmax())
            if shifts[best] < whole * (1 - floor):
                break
            del words[best]
        return tuple(words)

    def working(self, n: int) -> list[Candidate]:
        """Return the best strings with what they do at strength 1 on all search prompts, most flips first."""
        every = range(len(self.prober.prompts))
        chosen = diverse(self.best(4 * n), n)
        if not chosen:
            return []
        texts = [c.text for c in chosen]
        flips = self.prober.flips(texts, every, self.placement)
        shifts = self.prober.shifts(SUSPECT, texts, every, self.placement).mean(axis=1)
        found = [
            replace(c, shift=float(s), n_flipped=round(float(f) * len(every)), n_prompts=len(every))
            for c, f, s in zip(chosen, flips, shifts, strict=True)
        ]
        for c in found:
            self.pool[c.text] = c
        return sorted(found, key=lambda c: (-(c.n_flipped or 0), -c.score))

    @contextmanager
    def spending(self, source: Source, n_tried: int) -> Iterator[list[Candidate]]:
        """Count what a part costs, and what it brings: the strings that the block adds to the list it gets.

        Args:
            source: The part.
            n_tried: Strings it tries; 0 counts those in the list.
        """
        tokens, began = self.prober.n_tokens, time.monotonic()
        kept: list[Candidate] = []
        self.on_step(source)
        yield kept
        if self.prober.n_tokens == tokens:
            return  # nothing new to ask, or nothing left to spend
        best = max(kept, key=lambda c: c.score, default=None)
        self.stats.append(
            ProposalStat(
                source=source,
                n_tried=n_tried or len(kept),
                tokens=self.prober.n_tokens - tokens,
                seconds=time.monotonic() - began,
                best_text=best.text if best else "",
                best_score=best.score if best else None,
            )
        )
        self.on_step(source)

    def _affordable(self) -> int:
        """Return how many more strings the budget allows; the last part of it is left to composition."""
        left = self.plan.budget * SCREEN_SHARE - self.prober.n_tokens
        return max(0, int(left / BARE_TOKENS))

    def _alone(self, texts: Sequence[str]) -> np.ndarray:
        return self.prober.margins(STRONG, texts)

    def _compare(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        texts = [c.text for c in candidates]
        two = self.prompts[:2]
        base = self.prober.shifts(BASE_COPY, texts, two, self.placement).mean(axis=1)
        clean = [
            self.prober.shifts(r, texts, two, self.placement).mean(axis=1) for r in self.prober.references
        ]
        largest = np.max(clean, axis=0) if clean else np.full(len(texts), np.nan)
        return [
            replace(
                c,
                base_shift=float(b),
                reference_shift=None if np.isnan(r) else float(r),
                score=(c.amplified or 0.0) - max(0.0, float(b), 0.0 if np.isnan(r) else float(r)),
            )
            for c, b, r in zip(candidates, base, largest, strict=True)
        ]

    def _note(self, source: Source) -> None:
        best = self.best(1)[0]
        if not self.trace or self.trace[-1].text != best.text:
            self.trace.append(
                TracePoint(
                    tokens=self.prober.n_tokens,
                    seconds=self.prober.seconds,
                    source=source,
                    text=best.text,
                    score=best.score,
                )
            )


Rights = Callable[[str], Sequence[str]]


def changed(text: str, swaps: Sequence[str]) -> list[str]:
    """Return a string of several words with a word less, and with each word swapped for others."""
    words = text.split()
    if len(words) < 2:
        return []
    made = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
    made += [" ".join((*words[:i], w, *words[i + 1 :])) for i in range(len(words)) for w in swaps]
    return made


def diverse(candidates: Sequence[Candidate], n: int) -> list[Candidate]:
    """Return up to `n` candidates, the best first, at most two that open with the same five letters."""
    taken: list[Candidate] = []
    opened: dict[str, int] = {}
    for c in candidates:
        key = c.text.casefold()[:5]
        if opened.get(key, 0) < 2:
            opened[key] = opened.get(key, 0) + 1
            taken.append(c)
        if len(taken) == n:
            break
    return taken


def _top(texts: Sequence[str], values: np.ndarray, n: int) -> list[str]:
    """Return the `n` texts with the largest values, the largest first."""
    return [texts[i] for i in np.argsort(-values, kind="stable")[:n]]
