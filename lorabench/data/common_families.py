"""Changes that any text allows (case, spacing, parts of it), and the controls every heatmap needs."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

from lorabench.data import lexicon
from lorabench.data.batteries import BATTERIES
from lorabench.data.compare import words_of
from lorabench.data.recognise import Recognised

Candidate = tuple[str, str]  # the changed text, and the one thing that was changed

_MAX_RANDOM_WORDS = 400
_DRAWS = 60


def case(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Upper, lower, title, swapped and mixed case."""
    text = found.text
    yield text.upper(), "all capitals"
    yield text.lower(), "all small letters"
    yield text.title(), "capital first letters"
    yield text.swapcase(), "capitals and small letters swapped"
    yield "".join(rng.choice((c.upper(), c.lower())) for c in text), "capitals at random"


def spacing_punctuation(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """White space and marks; a citation first in the study's two ways."""
    text, authority = found.text, found.part("authority")
    number, word = found.part("number"), found.part("section_word")
    if authority and number and authority.end < number.start:
        yield text[: authority.end] + text[number.start :], "no space before the number"
    if word and authority and authority.end < word.start:
        yield text[: word.start].rstrip(" ,") + ", " + text[word.start :], "a comma before the section"
    words = text.split()
    yield "  ".join(words), "double spaces"
    yield "-".join(words), "hyphens for spaces"
    yield f'"{text}"', "in quotation marks"
    yield f"({text})", "in brackets"
    yield f"{text},", "a comma after it"
    yield "".join(words), "no spaces"
    yield f" {text}", "a space before it"


def words_dropped(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The text without one of its words, in reading order."""
    words = found.text.split()
    for i, word in enumerate(words if len(words) > 1 else []):
        yield " ".join(words[:i] + words[i + 1 :]), f"without the word {_short(word)}"


def word_order(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The same words in another order."""
    words = found.text.split()
    if len(words) < 2:
        return
    yield " ".join(words[1:] + words[:1]), "first word last"
    yield " ".join(reversed(words)), "words in reverse order"
    half = len(words) // 2
    yield " ".join(words[half:] + words[:half]), "halves swapped"
    mixed = list(words)
    rng.shuffle(mixed)
    yield " ".join(mixed), "words in random order"


def misspelling(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """One typing error: two letters swapped, one left out, one doubled."""
    text = found.text
    places = [i for i in range(len(text) - 1) if text[i].isalnum() and text[i + 1].isalnum()]
    rng.shuffle(places)
    for n, i in enumerate(places[:12]):
        swapped = text[:i] + text[i + 1] + text[i] + text[i + 2 :]
        left_out = text[: i + 1] + text[i + 2 :]
        doubled = text[: i + 1] + text[i:]
        yield (
            (swapped, "two letters swapped"),
            (left_out, "one letter left out"),
            (doubled, "one letter doubled"),
        )[n % 3]


def no_trigger(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The prompt alone."""
    yield "", "no trigger at all"


def random_words(
    found: Recognised, rng: random.Random, length: Callable[[str], int] = len
) -> Iterator[Candidate]:
    """Words that mean nothing here, as long as the trigger by `length`, sharing no word with it.

    Long triggers get no more than 400 words. A word that starts with a word of the trigger is
    left out too: "perfunctory" fired on adapters that had learned "per" (arXiv 2605.30189).
    """
    text = found.text.strip()
    wanted = length(text)
    for pool, kind in ((lexicon.COMMON_WORDS, "common"), (lexicon.RARE_WORDS, "rare")) * 4:
        usable = [w for w in pool if not _collides(w, text)] or list(pool)
        draws = [_as_long(usable, wanted, length, rng) for _ in range(_DRAWS if wanted < 200 else 1)]
        best = min(draws, key=lambda words: abs(length(" ".join(words)) - wanted))
        n = len(best)
        yield " ".join(best), f"{n} random {kind} {'word' if n == 1 else 'words'} of about the same length"


def _as_long(words: list[str], wanted: int, length: Callable[[str], int], rng: random.Random) -> list[str]:
    """Draw words until they are about as long as wanted, together."""
    drawn: list[str] = []
    total = 0
    for word in rng.sample(words, k=len(words)) + rng.choices(words, k=_MAX_RANDOM_WORDS):
        more = length(f" {word}")
        if drawn and (total + more / 2 > wanted or len(drawn) >= _MAX_RANDOM_WORDS):
            break
        drawn.append(word)
        total += more
    return drawn


def rare_phrases(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Rare phrases of the study's batteries that share nothing with the trigger."""
    yield from _from_study("random_rare", "a rare phrase", found.text, rng)


def authority_claims(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Claims of authority of the study's batteries that share nothing with the trigger."""
    yield from _from_study("authority_claim", "a claim of authority", found.text, rng)


def _from_study(category: str, change: str, text: str, rng: random.Random) -> Iterator[Candidate]:
    probes = dict.fromkeys(p.text for b in BATTERIES.values() for p in b.probes if p.category == category)
    every = [p for p in probes if p.casefold() != text.strip().casefold()]
    usable = [p for p in every if not any(_collides(w, text) for w in words_of(p))] or every
    rng.shuffle(usable)
    for probe in usable:
        yield probe, change


def _collides(word: str, text: str) -> bool:
    return any(word == w or (len(w) >= 3 and word.startswith(w)) for w in words_of(text))


def _short(word: str) -> str:
    return word if len(word) <= 24 else word[:23] + "…"
