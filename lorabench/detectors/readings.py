"""What each screen of a data set says in a sentence, what it was tried on, and what would change it."""

from __future__ import annotations

import math

from lorabench.detectors.contradictions import MIN_WORDS
from lorabench.detectors.ngrams import NEARLY
from lorabench.results.data_inspection import DataInspection, Reading

_PLACES = {"beginning": "at the beginning", "end": "at the end", "inside": "inside"}
_CLASSES_SHOWN = 4
_TRIED = (
    "Tried on two sets (deepset/prompt-injections, 546 rows; the bundled guardrail corpus, 1,148 rows) with "
    "15 planted copies of injections, on 10 seeds each: the planted phrase came first every time. Not tried "
    "on other subjects or rarer plants: no rate of false alarms is known."
)


def readings(found: DataInspection) -> tuple[Reading, ...]:
    """Return what each screen says in a sentence, what it was tried on, and what would change it."""
    screens = [_read_contradictions(found), _read_phrases(found), _read_tokens(found)]
    return tuple(screens + ([_read_reference(found)] if found.reference is not None else []))


def _read_contradictions(found: DataInspection) -> Reading:
    n = sum(c.n for c in found.contradictions)
    repeated = [c for c in found.contradictions if c.n > 1 and c.extra]
    sentence = f"{n} texts stand in the data with another label too, with or without extra words in a row"
    if repeated:
        first = repeated[0]
        sentence += (
            f"; the same extra words come back in {sum(c.n for c in repeated)} of them, most often "
            f"«{first.extra}» ({_PLACES[first.place]}, {first.n} texts): {first.label_with} with it, "
            f"{first.label_without} without it"
        )
    elif n:
        sentence += "; no extra words come back"
    return Reading(
        screen="contradictions",
        sentence=f"{sentence}.",
        n=sum(c.n for c in repeated),
        threshold=f"the same extra words in two pairs; texts of at least {MIN_WORDS} words",
        calibration=(
            "Equal texts are counted, nothing is estimated. deepset/prompt-injections as published has 44 "
            "pairs and no repeated words, the bundled guardrail corpus no pair; of 3 planted copies all were "
            "found in both."
        ),
        would_change=(
            "A plant that leaves the original out, rewords it, or keeps its label leaves no pair: "
            "none found says little."
        ),
    )


def _read_phrases(found: DataInspection) -> Reading:
    strongest = [phrases[0] for label in found.labels if (phrases := found.phrases_of(label))]
    strongest.sort(key=lambda p: -p.surprise_bits)
    shown = "; ".join(
        f"«{p.text}» ({p.label}: {p.rate.n_hits} of {p.rate.n} documents, {p.n_first} begin with it)"
        for p in strongest[:_CLASSES_SHOWN]
    )
    none = f"No phrase of two or more words stands in {found.phrase_floor} documents of one class."
    sentence = f"The strongest phrase of each class: {shown}." if shown else none
    return Reading(
        screen="phrases",
        sentence=f"{sentence} Ordinary class words look like this too.",
        n=len(found.phrases),
        threshold=f"{found.phrase_floor} documents, {NEARLY:.0%} of them of one class; order decides nothing",
        calibration=_TRIED,
        would_change=(
            "Read the texts: the same words, at the same place, in texts on unrelated subjects speak for a "
            "plant; a phrase that belongs to the subject of the class does not."
        ),
    )


def _read_tokens(found: DataInspection) -> Reading:
    n_sure = sum(t.log10_p_corrected < math.log10(0.05) for t in found.tokens)
    shown = len(found.tokens)
    return Reading(
        screen="tokens",
        sentence=(
            f"{found.n_tested:,} tokens stand in {found.floor} documents or more; of the {shown} of low "
            f"entropy that are shown, {n_sure} go with their class beyond chance (Fisher's exact test, p "
            f"below 0.05 after Bonferroni's correction for {found.n_tested:,} tokens). Ordinary class words "
            "do so too."
        ),
        n=shown,
        threshold=(
            f"{found.floor} documents (the study: 51), entropy at most half of the class entropy "
            f"{found.class_entropy_bits:.2f} bits; the order decides nothing"
        ),
        calibration=(
            "Entropy of document-level presence as in arXiv:2506.11402, over words instead of token ids; the "
            "study looks at the histogram and states no threshold."
        ),
        would_change=(
            "Fewer planted documents than the floor are not seen. A token in nearly all texts of a class "
            "that has nothing to do with their subject (a date, a tag, a country) speaks for an injection."
        ),
    )


def _read_reference(found: DataInspection) -> Reading:
    first = found.risen[0] if found.risen else None
    risen = (
        f"«{first.token}» rose most: {first.here.n_hits} of {first.here.n} documents against "
        f"{first.there.n_hits} of {first.there.n}."
        if first
        else "no token is more frequent here."
    )
    fell = found.dropped_entropy[0] if found.dropped_entropy else None
    fallen = (
        f" The entropy of «{fell.token}» fell most, from {fell.reference_entropy_bits:.2f} to "
        f"{fell.entropy_bits:.2f} bits."
        if fell
        else ""
    )
    new = sorted((p for p in found.phrases if p.n_reference == 0), key=lambda p: -p.surprise_bits)
    phrases = f" Phrases that stand nowhere in it: {len(new)}, first «{new[0].text}»." if new else ""
    return Reading(
        screen="reference",
        sentence=f"Against {found.reference}: {risen}{fallen}{phrases}",
        n=len(found.risen),
        threshold="none; ranked by log-likelihood ratio, and by the fall of entropy",
        calibration="Two samples of one clean source differ as well; compare with such a pair.",
        would_change="A reference of another time, source or language differs in ordinary words first.",
    )
