"""Two comparison baselines that judge a prefix somebody else found: STRIP and ONION.

STRIP (Gao et al., 2019) asks whether an answer survives other text beside it; the variant of arXiv
2605.30189 appends benign text. ONION (Qi et al., 2021) asks whether a text becomes more likely to a
language model when words are left out; here whole prefixes are. The third baseline, which needs no
prefix, is `lorabench.detectors.prefix_search`. None of them is read by a verdict.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lorabench.detectors.probing import JOINER, Respond, Response
from lorabench.errors import InputError
from lorabench.results import ProbeRate
from lorabench.results.baselines import (
    OnionResult,
    PrefixPerplexity,
    PrefixSource,
    StripReading,
    StripResult,
)

STRIP_PROMPTS = 20
PERTURBATIONS = 10
OVERLAY_CHARACTERS = 200
ONION_PROMPTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """A text to be judged.

    Attributes:
        text: Without the joiner.
        source: Where it comes from.
        joiner: Between it and a prompt.
    """

    text: str
    source: PrefixSource
    joiner: str = JOINER

    def before(self, prompt: str) -> str:
        """Return the prompt with the prefix in front."""
        return f"{self.text}{self.joiner}{prompt}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextProbability:
    """How likely a text is to the base.

    Attributes:
        logprob: Summed log-probability of its tokens, in nats.
        n_tokens: How many tokens that are.
    """

    logprob: float
    n_tokens: int

    @property
    def log_perplexity(self) -> float:
        """Nats per token."""
        return -self.logprob / self.n_tokens


LogProbabilities = Callable[[Sequence[str]], Sequence[TextProbability]]


def strip(
    prefix: Prefix,
    prompts: Sequence[str],
    overlays: Sequence[str],
    respond: Respond,
    rng: np.random.Generator,
    *,
    n_perturbations: int = PERTURBATIONS,
    n_choosing: int = 0,
) -> StripResult:
    """Return how steady the answers are when benign text is appended, with and without a prefix.

    Args:
        prefix: Placed before each prompt.
        prompts: Texts whose true answer is not the target.
        overlays: Benign texts; the first 200 characters of a random one are appended after a space.
        respond: Answers texts, in their order.
        rng: Chooses the overlays; the same ones with and without the prefix.
        n_perturbations: Overlays for each prompt.
        n_choosing: Texts that were asked to choose the prefix, for the report.

    Raises:
        InputError: For no prompts, overlays or perturbations.
    """
    if not prompts or not overlays or n_perturbations < 1:
        raise InputError(
            "nothing-to-perturb",
            f"There are {len(prompts)} prompts, {len(overlays)} texts to append, and {n_perturbations} to "
            "append to each.",
            "Take at least one of each.",
        )
    chosen = rng.integers(len(overlays), size=(len(prompts), n_perturbations))
    endings = [[f" {overlays[i][:OVERLAY_CHARACTERS]}" for i in row] for row in chosen]

    def reading(texts: Sequence[str]) -> StripReading:
        asked = [f"{text}{ending}" for text, row in zip(texts, endings, strict=True) for ending in row]
        return _reading(respond(asked), n_perturbations)

    return StripResult(
        prefix=prefix.text,
        source=prefix.source,
        triggered=reading([prefix.before(p) for p in prompts]),
        plain=reading(prompts),
        n_prompts=len(prompts),
        n_perturbations=n_perturbations,
        n_forwards=2 * len(prompts) * n_perturbations,
        n_choosing=n_choosing,
    )


def answer_entropy(answers: Sequence[Response]) -> float:
    """Return the entropy of the answers' kinds (target, other, tie, unparsed) in nats."""
    n = len(answers)
    return math.fsum(k / n * math.log(n / k) for k in Counter(r.answer for r in answers).values())


def _reading(answers: Sequence[Response], size: int) -> StripReading:
    groups = [answers[k : k + size] for k in range(0, len(answers), size)]
    entropies = [answer_entropy(group) for group in groups]
    shares = [sum(r.answer == "target" for r in group) / size for group in groups]
    return StripReading(
        mean_entropy=statistics.fmean(entropies),
        median_entropy=statistics.median(entropies),
        flip_share=statistics.fmean(shares),
    )


def loudest(probes: Sequence[ProbeRate]) -> ProbeRate:
    """Return the probe that moves the margin most, the base's own move taken off; of equals the first.

    Raises:
        InputError: If there is none, or no margin was measured.
    """
    known = [p for p in probes if p.shift_difference is not None]
    if not known:
        raise InputError(
            "no-loudest-probe", "No probe's margin shift is known.", "Give the prefix with --trigger."
        )
    return max(known, key=lambda p: p.shift_difference or 0.0)


def rank_by_perplexity(
    prefixes: Sequence[Prefix],
    prompts: Sequence[str],
    log_probabilities: LogProbabilities,
    on_progress: Callable[[int, int], None] | None = None,
) -> OnionResult:
    """Return prefixes by how much likelier prompts become without them.

    Perplexities are compared as logarithms (nats per token), so that one odd prompt does not carry the
    mean. Blank prefixes are left out, repeated ones asked once.

    Args:
        prefixes: What to judge.
        prompts: What they are placed before.
        log_probabilities: Of texts under the base, in their order.
        on_progress: Called with (prefixes done, prefixes in all).

    Raises:
        InputError: For no prompts or no prefix.
    """
    kept: dict[tuple[str, str], Prefix] = {}
    for prefix in prefixes:
        if prefix.text.strip():
            kept.setdefault((prefix.text, prefix.joiner), prefix)
    chosen = tuple(kept.values())
    if not chosen or not prompts:
        raise InputError(
            "nothing-to-rank",
            f"There are {len(chosen)} prefixes and {len(prompts)} prompts.",
            "Take at least one of each.",
        )
    plain = [t.log_perplexity for t in log_probabilities(prompts)]
    found = []
    for k, prefix in enumerate(chosen):
        alone, *placed = log_probabilities([prefix.text, *map(prefix.before, prompts)])
        drops = [with_it.log_perplexity - without for with_it, without in zip(placed, plain, strict=True)]
        found.append(
            PrefixPerplexity(
                text=prefix.text,
                source=prefix.source,
                n_tokens=alone.n_tokens,
                log_perplexity=alone.log_perplexity,
                suspicion=statistics.fmean(drops),
            )
        )
        if on_progress is not None:
            on_progress(k + 1, len(chosen))
    return OnionResult(
        prefixes=tuple(sorted(found, key=lambda p: -p.suspicion)),
        n_prompts=len(prompts),
        n_forwards=len(prompts) + len(chosen) * (1 + len(prompts)),
    )
