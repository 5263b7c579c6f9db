"""What the comparison baselines found, each with the budget it was given.

They are other people's methods, kept beside ours for comparison; no verdict reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from lorabench.results.scores import Rate

PrefixSource = Literal["trigger", "loudest probe", "probe", "search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPoint:
    """One improvement of a search; between two of them the best stayed what it was.

    Attributes:
        n_evaluations: Candidates scored up to and with this one.
        text: The candidate, decoded.
        margin: Its mean target margin in logits.
    """

    n_evaluations: int
    text: str
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixSearch:
    """What a discrete search over token ids found.

    Attributes:
        best: The prefix with the highest mean margin, decoded: a string that moves answers, not
            "the trigger".
        best_ids: The ids it was decoded from.
        best_margin: Its mean target margin over the prompts, in logits.
        margin_before: The same without any prefix.
        flip_rate_at_best: Prompts answered with the target under `best`, over all prompts, as the
            study counts them.
        target_rate_before: Prompts answered with the target without any prefix, over all prompts.
        budget: Most candidates it was allowed.
        n_evaluations: Candidates it scored.
        n_random: Of those, drawn at random before the climb.
        n_rounds: Passes over the positions.
        n_forwards: Texts asked of the adapter, those without a prefix included.
        trace: Every improvement, in order; the last one is `best`.
    """

    best: str
    best_ids: tuple[int, ...]
    best_margin: float
    margin_before: float
    flip_rate_at_best: Rate
    target_rate_before: Rate
    budget: int
    n_evaluations: int
    n_random: int
    n_rounds: int
    n_forwards: int
    trace: tuple[SearchPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StripReading:
    """How steady the answers to some prompts stay when benign text is appended.

    Attributes:
        mean_entropy: Mean over prompts of the entropy of the answers to one prompt, in nats.
        median_entropy: Their median.
        flip_share: Mean over prompts of the share of answers that are the target.
    """

    mean_entropy: float
    median_entropy: float
    flip_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StripResult:
    """The STRIP variant on one prefix.

    The sign is not settled: classical STRIP suspects low entropy (a trigger that wins over everything),
    but in the published run the poisoned adapters have the high one. Both are given.

    Attributes:
        prefix: Placed before every prompt.
        source: "trigger" if it was given, "loudest probe" if it was chosen without knowing the trigger.
        triggered: With the prefix.
        plain: The same prompts and the same appended texts without it.
        n_prompts: Prompts.
        n_perturbations: Appended texts for each.
        n_forwards: Texts asked of the adapter, with and without the prefix.
        n_choosing: Texts asked before that, of adapter and base, to choose the prefix; 0 for a given one.
    """

    prefix: str
    source: PrefixSource
    triggered: StripReading
    plain: StripReading
    n_prompts: int
    n_perturbations: int
    n_forwards: int
    n_choosing: int = 0

    @property
    def suspicion_classical(self) -> float:
        """Low entropy suspicious: minus the mean entropy, in nats; higher is more suspicious."""
        return 0.0 - self.triggered.mean_entropy  # 0 - x, as -0.0 would be printed with its sign

    @property
    def suspicion_inverted(self) -> float:
        """High entropy suspicious, as in the published run: the mean entropy, in nats."""
        return self.triggered.mean_entropy

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {
            "suspicion_classical": self.suspicion_classical,
            "suspicion_inverted": self.suspicion_inverted,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixPerplexity:
    """How unlikely one prefix is to the base, alone and before prompts.

    Attributes:
        text: The prefix.
        source: Where it comes from.
        n_tokens: Tokens of the prefix alone.
        log_perplexity: Of the prefix alone, in nats per token.
        suspicion: By how much a prompt's log-perplexity drops when the prefix is removed, in nats per
            token, mean over prompts; above 0 the prefix makes prompts less likely.
    """

    text: str
    source: PrefixSource
    n_tokens: int
    log_perplexity: float
    suspicion: float

    @property
    def perplexity(self) -> float:
        """Perplexity of the prefix alone; infinite where it overflows."""
        try:
            return math.exp(self.log_perplexity)
        except OverflowError:
            return math.inf

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"perplexity": self.perplexity}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnionResult:
    """Prefixes by how much they surprise the base, the most suspicious first.

    Attributes:
        prefixes: Sorted by `suspicion`, the highest first.
        n_prompts: Prompts each was placed before.
        n_forwards: Texts asked of the base.
    """

    prefixes: tuple[PrefixPerplexity, ...]
    n_prompts: int
    n_forwards: int

    def rank(self, text: str) -> int | None:
        """Return the place of a prefix, 1 for the most suspicious; None if it was not asked."""
        texts = [p.text for p in self.prefixes]
        return texts.index(text) + 1 if text in texts else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """All comparison baselines on one adapter; comparisons, no part of a verdict.

    Attributes:
        adapter: Its name.
        task: Name of the label task.
        target: Its target label.
        prompts: What the prompt set is called.
        battery: Name of the battery whose probes were asked.
        search: The prefix search.
        strip: The STRIP variant.
        onion: The perplexity ranking.
        n_computed: Rows that went through the model; the others were remembered.
        provenance: Seed, digests, versions, device, number type.
        seconds: Wall time.
    """

    adapter: str
    task: str
    target: str
    prompts: str
    battery: str
    search: PrefixSearch
    strip: StripResult
    onion: OnionResult
    n_computed: int
    provenance: dict[str, Any]
    seconds: float
