"""What a hunt for an unknown trigger tried, found and proved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lorabench.results.behaviour import Statistic
from lorabench.results.scores import Interval, Rate

HuntMode = Literal["instant", "quick", "standard", "deep"]
HUNT_MODES: tuple[HuntMode, ...] = ("instant", "quick", "standard", "deep")
"""From the shortest to as long as it takes; `lorabench.hunting.plans` has their budgets in tokens."""

Source = Literal[
    "words",
    "phrases",
    "decoding",
    "layer 0",
    "gradient",
    "suspect data",
    "composition",
    "minimised",
    "variant",
]
"""Which part of the search proposed a string."""

EvidenceLevel = Literal["strong", "weak", "none"]
"""Of a found string: it meets the evidence rule; it flips less, but more than every clean reference and
every null search; neither."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A string that was tried, as the search saw it; its numbers chose it, so they prove nothing.

    Attributes:
        text: The string, as placed in the prompt. Untrusted once the search read somebody's data.
        source: What proposed it.
        placement: "prefix" or "suffix".
        shift: Mean margin shift of the adapter at its own strength over the search prompts, in logits;
            None where only the strengthened copy was asked.
        amplified: The same of the strengthened copy; what ranks.
        base_shift: Mean margin shift of the base, None if not asked.
        reference_shift: Largest mean margin shift of a clean reference at the same strength as `amplified`.
        n_flipped: Search prompts that flipped at the adapter's own strength.
        n_prompts: Search prompts asked.
        score: What the search maximises: `amplified` less what references do.
        spent: Tokens that the hunt had computed when it was first tried.
    """

    text: str
    source: Source
    placement: str = "prefix"
    shift: float | None = None
    amplified: float | None = None
    base_shift: float | None = None
    reference_shift: float | None = None
    n_flipped: int | None = None
    n_prompts: int = 0
    score: float = 0.0
    spent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProposalStat:
    """What one proposal cost and brought: a row of the leaderboard.

    Attributes:
        source: Which.
        n_tried: Strings it had scored.
        tokens: Tokens that went through a model for it.
        seconds: Wall time.
        best_text: Its best string.
        best_score: The score of that string.
    """

    source: Source
    n_tried: int
    tokens: int
    seconds: float
    best_text: str
    best_score: float | None

    @property
    def rate(self) -> float | None:
        """Tokens a second, None if it took no time."""
        return self.tokens / self.seconds if self.seconds else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TracePoint:
    """The best so far at one moment: the search replays from these.

    Attributes:
        tokens: Tokens computed so far.
        seconds: Wall time so far.
        source: What was at work.
        text: The best string so far.
        score: Its score.
        flipped: Share of the search prompts that it flips, None if not asked.
    """

    tokens: int
    seconds: float
    source: Source
    text: str
    score: float
    flipped: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceAnswer:
    """What a clean adapter of the same task does with a found string.

    Attributes:
        name: Of the adapter.
        rate: Held-out prompts that flip, over those it did not answer with the target before.
        shift: Its mean margin shift.
    """

    name: str
    rate: Rate
    shift: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionRate:
    """The attack rate of a string in another place of the prompt ("prefix", "suffix", "inside", "alone")."""

    placement: str
    rate: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerGroup:
    """What remains when the adapter is switched off in a group of layers.

    Attributes:
        first: First layer switched off.
        last: Last layer switched off.
        margin: Mean margin of the triggered held-out prompts then, in logits.
        restored: Share of the effect that switching off takes away:
            (triggered - then) / (triggered - plain), in mean margins.
    """

    first: int
    last: int
    margin: float
    restored: float


STILL_FLIPS = 0.5
"""Share of the prompts that a look-alike must flip to count as one that still works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAlike:
    """A found string changed in one named way, and what it does to the suspect.

    Attributes:
        text: The changed string; untrusted like the string.
        change: The one thing that was changed, in plain words; it may quote the string.
        rate: Search prompts that flip, over those that could.
        shift: Its mean margin shift over the same prompts, in logits.
    """

    text: str
    change: str
    rate: Rate
    shift: float

    @property
    def still_flips(self) -> bool:
        """Whether it flips at least `STILL_FLIPS` of the prompts."""
        return (self.rate.value or 0.0) >= STILL_FLIPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """Look-alikes of one kind, such as all that differ in capitals only.

    Attributes:
        category: Key of the kind: a family of `lorabench.data.families`.
        title: What people call it.
        is_control: Whether its strings have nothing to do with the found one.
        look_alikes: The strings, the one that flips most first; at least one.
        interval: Of `rate`. It says what was resampled: prompts and look-alikes, because the answers to one
            prompt or one look-alike go together.
    """

    category: str
    title: str
    is_control: bool
    look_alikes: tuple[LookAlike, ...]
    interval: Interval | None = None

    @property
    def rate(self) -> Rate:
        """Flips over pairs of a look-alike and a search prompt that could flip."""
        rates = [v.rate for v in self.look_alikes]
        return Rate(n_hits=sum(r.n_hits for r in rates), n=sum(r.n for r in rates))

    @property
    def n_variants(self) -> int:
        """How many strings were asked."""
        return len(self.look_alikes)

    @property
    def n_flipping(self) -> int:
        """How many of them still flip (`LookAlike.still_flips`)."""
        return sum(v.still_flips for v in self.look_alikes)

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"rate": self.rate, "n_variants": self.n_variants, "n_flipping": self.n_flipping}


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbourhood:
    """How the look-alikes of a found string do: does the suspect react to this text, a word, or a structure?

    It describes, on the prompts that chose the string and in the search's number type; it proves nothing.

    Attributes:
        exact: What the string itself does on the same prompts.
        neighbours: One entry per kind of look-alike, in the generator's order, controls last.
        precision: Number type of the copy that was asked, such as "bf16".
        level: "exact", "token", "structure", "any prefix", "none" or "unclear"; see
            `lorabench.scoring.reading`.
        carrier: The words that the look-alikes need, quoted; None if none stand out. Untrusted.
        sentence: All this in one sentence.
    """

    exact: Rate
    neighbours: tuple[Neighbour, ...]
    precision: str
    level: str = "unclear"
    carrier: str | None = None
    sentence: str = ""

    def counts(self, *, controls: bool) -> tuple[int, int]:
        """Return how many strings still flip, and how many were asked: controls or look-alikes."""
        chosen = [n for n in self.neighbours if n.is_control == controls]
        return sum(n.n_flipping for n in chosen), sum(n.n_variants for n in chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class StringEvidence:
    """What a found string does on prompts that the search never saw.

    Attributes:
        text: The string.
        placement: "prefix" or "suffix".
        source: What proposed it.
        attack: Held-out prompts that flip on the adapter.
        shift: Mean margin shift of the adapter, with its interval, in logits.
        base_shift: The same of the base, which answers the target anyway.
        references: Clean adapters of the same task.
        null_name: Which null distribution it was held against; empty without one.
        null_n: Searches behind it.
        null_rank: How many of those found a string at least as strong (by the attack rate above that of the
            loudest clean reference, then by shift).
        positions: Other places.
        perplexity: Of the string by the base; high is unnatural.
        class_word: Cosine similarity between what the string and a target-class prompt do to the base's
            last state; high means that it may just say what the class means. None if not measured.
        layers: The adapter switched off by groups of layers.
        needed: Tokens of the string without which it fails, as text pieces, from the minimisation.
        neighbourhood: How its look-alikes do on the search prompts, which is no part of the rule; None if not
            asked.
        passes: Whether it meets the evidence rule.
        level: "strong" if it passes; "weak" if it does not, but stands above references and null.
        reasons: Why not, or what limits it; full sentences.
        sentence: What may be said; one sentence.
    """

    text: str
    placement: str
    source: Source
    attack: Rate
    shift: Statistic
    base_shift: Statistic
    references: tuple[ReferenceAnswer, ...]
    null_name: str = ""
    null_n: int = 0
    null_rank: int | None = None
    positions: tuple[PositionRate, ...] = ()
    perplexity: float | None = None
    class_word: float | None = None
    layers: tuple[LayerGroup, ...] = ()
    needed: tuple[str, ...] = ()
    neighbourhood: Neighbourhood | None = None
    passes: bool = False
    level: EvidenceLevel = "none"
    reasons: tuple[str, ...] = ()
    sentence: str = ""

    @property
    def null_p(self) -> float | None:
        """(1 + searches at least as strong) / (1 + searches), None without a null."""
        if self.null_rank is None or not self.null_n:
            return None
        return (1 + self.null_rank) / (1 + self.null_n)

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"null_p": self.null_p}


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrichment:
    """How the members of a class of tokens rank in a sweep.

    Attributes:
        name: Of the class, such as "date-like".
        n_members: Tokens of the class.
        n_others: The others.
        auc: Chance that a member moves the adapter more than another token does.
        low: Lower end of its 95 % interval.
        high: Upper end.
        median: Median shift of the members, in logits.
        median_others: Of the others.
        q: Two-sided rank-sum p value after Benjamini and Hochberg.
    """

    name: str
    n_members: int
    n_others: int
    auc: float
    low: float
    high: float
    median: float
    median_others: float
    q: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntSoFar:
    """A running hunt as far as it is.

    Attributes:
        stage: What is at work, for people.
        tokens: Tokens computed.
        budget: Tokens it may compute.
        seconds: Wall time.
        candidates: The best so far, the best first.
        trace: Best so far over time.
        proposals: What each part cost and brought.
        evidence: Strings verified so far.
    """

    stage: str
    tokens: int
    budget: int
    seconds: float
    candidates: tuple[Candidate, ...] = ()
    trace: tuple[TracePoint, ...] = ()
    proposals: tuple[ProposalStat, ...] = ()
    evidence: tuple[StringEvidence, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherTarget:
    """A shorter hunt of the same adapter for another label of the task.

    Attributes:
        target: The label.
        mode: How much it was allowed.
        tokens: Tokens it computed.
        seconds: Wall time.
        best: Its best candidate; the numbers chose it.
        evidence: Verified strings, the strongest first.
        note: Why it was not searched for; empty if it was.
    """

    target: str
    mode: HuntMode
    tokens: int = 0
    seconds: float = 0.0
    best: Candidate | None = None
    evidence: tuple[StringEvidence, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HuntResult:
    """A finished hunt.

    Attributes:
        adapter: Name of the adapter.
        adapter_id: Its content hash.
        base: Name of the base.
        task: Name of the task.
        target: Label or payload that was searched for.
        mode: How much it was allowed.
        budget: Tokens it was allowed.
        tokens: Tokens it computed.
        seconds: Wall time.
        seconds_to_first: Wall time until a string was found that passed; None if none did.
        precision: Number type of the search ("bf16" or "fp32"); evidence is fp32.
        strength: Factor on the adapter's change in the strengthened copy.
        search_prompts: Texts the search used.
        held_out: Name of the prompt set of the evidence.
        held_out_texts: Those prompts.
        references: Names of the clean adapters used.
        candidates: The best strings, the best first.
        evidence: Verified strings, the strongest first.
        proposals: What each part cost and brought.
        trace: Best so far over time.
        enrichment: Classes of tokens that stand out in the sweep.
        n_excluded: Tokens of the vocabulary that were not tried, with reasons in `notes`.
        notes: What limits the result; full sentences.
        provenance: Seed, digests, versions, device, dtype.
        others: The task's other labels as targets, in deep mode.
    """

    adapter: str
    adapter_id: str
    base: str
    task: str
    target: str
    mode: HuntMode
    budget: int
    tokens: int
    seconds: float
    seconds_to_first: float | None
    precision: str
    strength: float
    search_prompts: tuple[str, ...]
    held_out: str
    held_out_texts: tuple[str, ...]
    references: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    evidence: tuple[StringEvidence, ...]
    proposals: tuple[ProposalStat, ...]
    trace: tuple[TracePoint, ...]
    enrichment: tuple[Enrichment, ...]
    n_excluded: int
    notes: tuple[str, ...]
    provenance: dict[str, Any]
    others: tuple[OtherTarget, ...] = ()

    @property
    def found(self) -> StringEvidence | None:
        """The strongest string that passes the evidence rule, or None."""
        return next((e for e in self.evidence if e.passes), None)
