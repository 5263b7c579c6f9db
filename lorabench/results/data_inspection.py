"""What a look at training data found: tokens and phrases of one class, and texts that contradict each other.

Nothing here is a verdict: words that belong to a subject belong to its class as well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from lorabench.results.scores import Rate

Place = Literal["beginning", "end", "inside"]
Screen = Literal["contradictions", "phrases", "tokens", "reference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFinding:
    """One token, and how much it says about the class.

    Attributes:
        token: Case-folded; for a shape its pattern, such as "<date>", "<tag>" or "<####>" (four digits).
        is_shape: Whether it stands for all tokens of its shape.
        label: The class in which it is most over-represented.
        counts: Documents that contain it, by label in the order of `DataInspection.labels`.
        entropy_bits: H(y|t) in bits: 0 if every document with it has one label.
        g2: Log-likelihood ratio of token against label, in nats times two (Dunning 1993).
        log10_p: Fisher's one-sided probability of so many documents of the label, the label shares given.
        log10_p_corrected: The same times the number of tokens tested (Bonferroni), at most 0.
        n_first: Documents that begin with it.
        n_last: Documents that end with it, closing punctuation aside.
        rate: Share of its documents that have the label.
        n_reference: Documents of the reference that contain it; None without a reference.
    """

    token: str
    is_shape: bool
    label: str
    counts: tuple[int, ...]
    entropy_bits: float
    g2: float
    log10_p: float
    log10_p_corrected: float
    n_first: int
    n_last: int
    rate: Rate
    n_reference: int | None = None

    @property
    def n_documents(self) -> int:
        """Documents that contain it."""
        return self.rate.n

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"n_documents": self.n_documents}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhraseFinding:
    """Words that stand together in many documents of one class and in few or none of others.

    Attributes:
        text: As it is written most often; with shapes, its tokens.
        example: As it is written most often.
        tokens: Case-folded; a shape stands for every token of that shape.
        label: The class.
        counts: Documents that contain it, by label in the order of `DataInspection.labels`.
        entropy_bits: H(y|phrase) in bits.
        surprise_bits: What it is ranked by: documents times the bits by which its words stand together more
            often than they would apart, and by which it tells the class.
        log10_p: Fisher's one-sided probability of so many documents of the label, the label shares given.
        n_first: Documents that begin with it.
        n_last: Documents that end with it, punctuation aside.
        rate: Share of its documents that have the label.
        n_reference: Documents of the reference that contain it; None without a reference.
    """

    text: str
    example: str
    tokens: tuple[str, ...]
    label: str
    counts: tuple[int, ...]
    entropy_bits: float
    surprise_bits: float
    log10_p: float
    n_first: int
    n_last: int
    rate: Rate
    n_reference: int | None = None

    @property
    def n_documents(self) -> int:
        """Documents that contain it."""
        return self.rate.n

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"n_documents": self.n_documents}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """Texts that stand in the data twice, once with extra words and another label.

    Attributes:
        extra: The extra words as written; empty for the same text with two labels.
        place: Where they stand.
        label_with: Label of the texts with the extra words.
        label_without: Label of the same texts without them.
        n: Such pairs.
        examples: Ids of rows with and without, of the first pairs.
        rate: Pairs out of all rows labelled `label_without`.
    """

    extra: str
    place: Place
    label_with: str
    label_without: str
    n: int
    examples: tuple[tuple[str, str], ...]
    rate: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChange:
    """One token in this data and in the reference.

    Attributes:
        token: Case-folded, or a shape.
        is_shape: Whether it stands for all tokens of its shape.
        label: The class in which it is most over-represented here.
        here: Documents with it here, of all documents here.
        there: Documents with it in the reference, of all documents there.
        entropy_bits: H(y|t) here.
        reference_entropy_bits: H(y|t) in the reference; None if it stands there in fewer documents than the
            floor.
        g2: Log-likelihood ratio of token against data set, in nats times two.
    """

    token: str
    is_shape: bool
    label: str
    here: Rate
    there: Rate
    entropy_bits: float
    reference_entropy_bits: float | None
    g2: float

    @property
    def entropy_drop_bits(self) -> float | None:
        """How much lower the entropy is here; None if it was not measured in the reference."""
        there = self.reference_entropy_bits
        return None if there is None else there - self.entropy_bits

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"entropy_drop_bits": self.entropy_drop_bits}


@dataclass(frozen=True, slots=True, kw_only=True)
class EntropyHistogram:
    """Tokens by conditional entropy.

    Attributes:
        name: Of the data set.
        edges: Bin edges in bits, one more than bins; the last bin includes its upper edge.
        counts: Tokens in each bin.
        floor: Fewest documents of a counted token.
    """

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    floor: int

    @property
    def n_tokens(self) -> int:
        """Tokens counted."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What one screen says, and what it cannot say.

    Attributes:
        screen: Which.
        sentence: What was found, with its counts.
        n: How many things it found.
        threshold: What counts as found; empty if it ranks and decides nothing.
        calibration: What the threshold or the ranking was tried on.
        would_change: What would change the reading.
    """

    screen: Screen
    sentence: str
    n: int
    threshold: str
    calibration: str
    would_change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataInspection:
    """A look at labelled texts before a training.

    Attributes:
        name: Of the data; never a path.
        labels: The classes, sorted.
        class_counts: Rows of each.
        class_entropy_bits: H(y): the entropy of a token that says nothing.
        floor: Fewest documents of a token.
        phrase_floor: Fewest documents of a phrase.
        n_tested: Tokens at or above the floor.
        n_cut: Documents of which only the beginning and the end were read.
        histograms: Of this data, then of the reference if there is one.
        tokens: Low-entropy tokens, by class, strongest first.
        phrases: Phrases of two or more words, by class, strongest first.
        contradictions: Most pairs first.
        dropped_entropy: Tokens whose entropy fell most against the reference.
        risen: Tokens whose share of the documents rose most against the reference.
        reference: Name of the reference, or None.
        readings: One for each screen.
        notes: What was left out while reading, as sentences.
        provenance: Versions, digest of the rows, seed, seconds.
    """

    name: str
    labels: tuple[str, ...]
    class_counts: tuple[int, ...]
    class_entropy_bits: float
    floor: int
    phrase_floor: int
    n_tested: int
    n_cut: int
    histograms: tuple[EntropyHistogram, ...]
    tokens: tuple[TokenFinding, ...]
    phrases: tuple[PhraseFinding, ...]
    contradictions: tuple[Contradiction, ...]
    dropped_entropy: tuple[TokenChange, ...] = ()
    risen: tuple[TokenChange, ...] = ()
    reference: str | None = None
    readings: tuple[Reading, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Rows looked at."""
        return sum(self.class_counts)

    def tokens_of(self, label: str) -> tuple[TokenFinding, ...]:
        """Return the tokens of one class."""
        return tuple(t for t in self.tokens if t.label == label)

    def phrases_of(self, label: str) -> tuple[PhraseFinding, ...]:
        """Return the phrases of one class."""
        return tuple(p for p in self.phrases if p.label == label)

    def extra_fields(self) -> dict[str, Any]:
        """Derived values for JSON."""
        return {"n_rows": self.n_rows}
