"""All screens of labelled texts in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lorabench.data.corpus import Row
from lorabench.data.dataset_files import listed
from lorabench.data.datasets import check_two_classes
from lorabench.detectors.contradictions import find_contradictions
from lorabench.detectors.ngrams import Candidate
from lorabench.detectors.phrases import describe_phrases, documents_with, find_phrases
from lorabench.detectors.readings import readings
from lorabench.detectors.statistics import entropy_bits
from lorabench.detectors.token_entropy import (
    TokenCounts,
    class_ids,
    compare_tokens,
    count_tokens,
    default_floor,
    histogram,
    rank_tokens,
)
from lorabench.detectors.tokenised import Tokenised, tokenise
from lorabench.errors import InputError
from lorabench.results.data_inspection import (
    DataInspection,
    PhraseFinding,
    TokenChange,
    TokenFinding,
)

TOP = 20
_PHRASE_FLOOR = 10


def inspect_rows(
    rows: Sequence[Row],
    name: str,
    *,
    reference: Sequence[Row] | None = None,
    reference_name: str = "the reference",
    floor: int | None = None,
    top: int = TOP,
) -> DataInspection:
    """Look at labelled texts before a training: tokens, phrases, contradictions, and a reference.

    Args:
        rows: Labelled rows of two classes or more.
        name: Of the data, for people.
        reference: Rows that are trusted, with labels of the data; or None.
        reference_name: Of the reference, for people.
        floor: Fewest documents of a token or phrase; None: see `default_floor`.
        top: Most findings of a kind and class.

    Raises:
        InputError: For rows without labels, fewer than two classes, a reference of other classes, or a
            floor below 2.
    """
    labels = _labels(rows, name)
    if floor is not None and floor < 2:
        raise InputError("bad-floor", f"The floor is {floor} documents.", "Use 2 or more.")
    floor_used = default_floor(len(rows)) if floor is None else floor
    phrase_floor = min(floor_used, _PHRASE_FLOOR) if floor is None else floor
    texts = [row.text for row in rows]
    classes = class_ids([row.label for row in rows], labels)
    documents = tokenise(texts)
    words = documents.words()
    counted = count_tokens(documents, classes, labels)
    candidates = find_phrases(words, classes, labels, floor=phrase_floor, top=top)
    phrases = describe_phrases(candidates, words, texts, counted.class_counts, labels)
    tokens = rank_tokens(counted, floor=floor_used, top=top)
    histograms = [histogram(counted, name, floor=floor_used)]
    dropped: tuple[TokenChange, ...] = ()
    risen: tuple[TokenChange, ...] = ()
    if reference is not None:
        other, there = _counted(reference, reference_name, labels)
        dropped, risen = compare_tokens(counted, there, floor=floor_used, top=top)
        histograms.append(histogram(there, reference_name, floor=floor_used))
        tokens = _tokens_with_reference(tokens, there)
        phrases = _phrases_with_reference(phrases, candidates, words, other.words())
    found = DataInspection(
        name=name,
        labels=labels,
        class_counts=tuple(int(n) for n in counted.class_counts),
        class_entropy_bits=float(entropy_bits(counted.class_counts)),
        floor=floor_used,
        phrase_floor=phrase_floor,
        n_tested=len(counted.tested(floor_used)),
        n_cut=documents.n_cut,
        histograms=tuple(histograms),
        tokens=tokens,
        phrases=phrases,
        contradictions=find_contradictions(
            words, classes, labels, texts, [row.id or f"row {i}" for i, row in enumerate(rows, start=1)]
        ),
        dropped_entropy=dropped,
        risen=risen,
        reference=None if reference is None else reference_name,
    )
    return replace(found, readings=readings(found))


def _labels(rows: Sequence[Row], name: str) -> tuple[str, ...]:
    if not rows:
        raise InputError("no-rows", f"{name!r} has no rows.", "Give it labelled texts.")
    return check_two_classes(rows, name)


def _counted(rows: Sequence[Row], name: str, labels: tuple[str, ...]) -> tuple[Tokenised, TokenCounts]:
    found = sorted({row.label for row in rows})
    if not found or not set(found) <= set(labels):
        raise InputError(
            "other-classes",
            f"{name!r} has the labels {listed(found)}; the data has {listed(labels)}.",
            "Use a reference with the same labels.",
        )
    documents = tokenise([row.text for row in rows])
    return documents, count_tokens(documents, class_ids([row.label for row in rows], labels), labels)


def _tokens_with_reference(found: tuple[TokenFinding, ...], there: TokenCounts) -> tuple[TokenFinding, ...]:
    places = _places(there)
    n_documents = there.n_documents
    known = {key: int(n_documents[i]) for key, i in places.items()}
    return tuple(replace(t, n_reference=known.get((t.token, t.is_shape), 0)) for t in found)


def _phrases_with_reference(
    found: tuple[PhraseFinding, ...], candidates: Sequence[Candidate], here: Tokenised, there: Tokenised
) -> tuple[PhraseFinding, ...]:
    places = _places(there)
    counted = []
    for phrase, candidate in zip(found, candidates, strict=True):
        ids = [places.get((here.vocabulary[i], i >= here.n_literal), -1) for i in candidate.ids]
        n = 0 if -1 in ids else len(documents_with(ids, there))
        counted.append(replace(phrase, n_reference=n))
    return tuple(counted)


def _places(there: Tokenised | TokenCounts) -> dict[tuple[str, bool], int]:
    """Return token, and whether it is a shape -> id."""
    return {(token, i >= there.n_literal): i for i, token in enumerate(there.vocabulary)}
