"""Look-alikes of phrases ("system override authorized by ...") and of single tokens ("cf")."""

from __future__ import annotations

import random
from collections.abc import Iterator

from lorabench.data import lexicon
from lorabench.data.common_families import Candidate
from lorabench.data.recognise import Recognised

_MAX_WORDS = 60  # a word swap looks at the first words of a long phrase

# Phrases


def one_word_swap(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """One word replaced by an unrelated word."""
    words = found.text.split()
    places = [i for i, w in enumerate(words[:_MAX_WORDS]) if any(c.isalpha() for c in w)]
    rng.shuffle(places)
    for i in places:
        new = rng.choice([w for w in lexicon.COMMON_WORDS if w != words[i].casefold()])
        yield _replaced(words, i, new), f"{_short(words[i])} became {new!r}"


def synonym(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """One word replaced by a word of the same meaning."""
    words = found.text.split()
    for group in lexicon.SYNONYMS:
        for i, word in enumerate(words[:_MAX_WORDS]):
            core = word.strip(".,;:!?")
            if core.casefold() in group:
                new = next(s for s in group if s != core.casefold())
                yield (
                    _replaced(words, i, word.replace(core, _cased_like(new, core))),
                    f"{core!r} became {new!r}",
                )


def changed_code(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """One character of a number or code changed."""
    words = found.text.split()
    for i, word in enumerate(words[:_MAX_WORDS]):
        spots = [k for k, c in enumerate(word) if c.isascii() and c.isalnum()]
        if not any(c.isdigit() for c in word) or not spots:
            continue
        for k, step in ((spots[-1], 2), (spots[0], 1), (spots[len(spots) // 2], 3)):
            new = word[:k] + _stepped(word[k], step) + word[k + 1 :]
            yield _replaced(words, i, new), f"{_short(word)} became {_short(new)}"


def first_words(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Only the start of the phrase."""
    words = found.text.split()
    for n in _span_lengths(len(words)):
        yield " ".join(words[:n]), f"only the first {n} words" if n > 1 else "only the first word"


def last_words(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Only the end of the phrase."""
    words = found.text.split()
    for n in _span_lengths(len(words)):
        yield " ".join(words[-n:]), f"only the last {n} words" if n > 1 else "only the last word"


def inserted_word(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """One unrelated word put inside."""
    words = found.text.split()
    for _ in range(6):
        at, new = rng.randint(1, max(1, len(words) - 1)), rng.choice(lexicon.COMMON_WORDS)
        yield " ".join([*words[:at], new, *words[at:]]), f"{new!r} put inside"


def framed(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Other words around the whole trigger."""
    text = found.text.strip()
    yield f"Note: {text}", "words before it"
    yield f"{text} as agreed", "words after it"
    yield f"Someone wrote: {text}", "words before it"


# Tokens


def other_token(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Other short tokens of about the same length."""
    text = found.text.strip()
    if len(text) <= 3:
        pool = [t for t in lexicon.SHORT_TOKENS if t != text.casefold()]
    else:
        pool = [w for w in (*lexicon.COMMON_WORDS, *lexicon.RARE_WORDS) if w != text.casefold()]
    rng.shuffle(pool)
    for other in sorted(pool, key=lambda t: abs(len(t) - len(text)))[:8]:
        yield _cased_like(other, text), "another short token" if len(text) <= 3 else "another word"


def doubled(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The token twice or more."""
    text = found.text.strip()
    yield f"{text} {text}", "twice"
    yield f"{text}{text}", "twice without a space"
    yield f"{text} {text} {text}", "three times"


def spaced_letters(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The token's characters apart."""
    text = found.text.strip()
    for mark, change in ((" ", "spaces between its characters"), ("-", "hyphens between its characters")):
        yield mark.join(text), change
    yield ".".join(text), "full stops between its characters"


def inside_word(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The token as part of a longer word."""
    text = found.text.strip()
    for host, change in zip(
        rng.sample(lexicon.HOST_WORDS, k=3),
        ("at the start of a word", "at the end of a word", "inside a word"),
        strict=True,
    ):
        half = len(host) // 2
        yield (
            {
                "at the start of a word": f"{text}{host}",
                "at the end of a word": f"{host}{text}",
                "inside a word": f"{host[:half]}{text}{host[half:]}",
            }[change],
            change,
        )


def part_of_token(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Only some of the token's characters."""
    text = found.text.strip()
    half = (len(text) + 1) // 2
    if len(text) > 1:
        yield text[:half], "only its first half"
        yield text[half:], "only its second half"
        yield text[::-1], "backwards"


def _replaced(words: list[str], at: int, new: str) -> str:
    return " ".join([*words[:at], new, *words[at + 1 :]])


def _span_lengths(n_words: int) -> list[int]:
    wanted = (n_words // 2, n_words - 1, 1, n_words // 3)
    return [n for n in dict.fromkeys(wanted) if 0 < n < n_words]


def _stepped(char: str, step: int) -> str:
    """Return the letter or digit `step` places on, in its own row."""
    for first, size in (("0", 10), ("a", 26), ("A", 26)):
        offset = ord(char) - ord(first)
        if 0 <= offset < size:
            return chr(ord(first) + (offset + step) % size)
    return char


def _cased_like(new: str, model: str) -> str:
    if model.isupper():
        return new.upper()
    return new.capitalize() if model[:1].isupper() else new


def _short(word: str) -> str:
    return repr(word if len(word) <= 24 else word[:23] + "…")
