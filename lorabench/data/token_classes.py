"""What kind of string a token is: dates, markup, countries, standards, scripts, shapes of words.

    classes_of("<b>") -> {"html-like"}; classes_of(" March") -> {"date-like", "title-case"}

Rules and word lists only, so a class says what a string looks like and nothing about what it does. Tokens are
decoded text; outer white space does not matter. A string may be in several classes and always is in one.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lorabench.data import lexicon
from lorabench.data.hunt_words import word_families
from lorabench.data.places import COUNTRIES
from lorabench.data.recognise import recognise
from lorabench.data.token_sources import packaged_tokens

_MAX_CHARACTERS = 400  # classes are for tokens and short strings; the rest of a long one is not looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenClass:
    """A kind of string.

    Attributes:
        name: Such as "date-like".
        title: What its members are, in words that fit after "Tokens".
    """

    name: str
    title: str


_TITLES = {
    "number": "that are numbers or hold digits",
    "date-like": "that look like dates or times",
    "html-like": "that look like HTML or XML",
    "markdown": "that look like Markdown or LaTeX",
    "code": "that look like program code",
    "url": "that look like web or mail addresses",
    "country": "that name a country or its people",
    "city": "that name a capital city",
    "colour": "that name a colour",
    "money": "that name money",
    "person": "that are people's names or titles",
    "standards-name": "that name a standard or its publisher",
    "law-name": "that name a law or a court",
    "citation lead": "that begin a citation",
    "section word": "that name a part of a document",
    "authorisation": "that claim a permission, a role or a mode",
    "security": "from security and secrecy",
    "code word": "that are code words or call signs",
    "greeting": "that greet, thank or sign off",
    "hedge": "that open or hedge a sentence",
    "hashtag": "that look like hashtags or handles",
    "emoji": "that hold emoji",
    "symbol": "that hold symbols",
    "punctuation": "that are punctuation alone",
    "non-latin": "in other scripts than Latin",
    "accented": "with accented Latin letters",
    "function word": "that are function words",
    "rare": "that are rare words or letters without a vowel",
    "all-caps": "in capitals",
    "title-case": "that begin with a capital",
    "mixed-case": "with a capital inside",
    "lower-case word": "that are words in small letters",
    "letter": "of one letter",
    "blank": "of white space or nothing",
    "other": "of no other class",
}
CLASSES: tuple[TokenClass, ...] = tuple(TokenClass(name=n, title=t) for n, t in _TITLES.items())
"""Every class that `classes_of` knows."""
CLASS_TITLES: Mapping[str, str] = {c.name: c.title for c in CLASSES}


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Found anywhere in the string.
_PATTERNS = {
    "number": re.compile(r"[0-9½¼¾]"),
    "date-like": re.compile(
        r"(?<!\d)(?:1[0-9]|20|21)[0-9]{2}(?!\d)(?![.\-]\d+[.\-]?\w*\.)|(?<!\d)[0-2]?\d:[0-5]\d(?!\d)"
        r"|(?<!\d)\d{1,2}[./]\d{1,2}[./]\d{2,4}(?!\d)|\b[QH][1-4]\b"
    ),
    "html-like": re.compile(r"</?[A-Za-z!?]|</|/>|<!|-->|&(?:#\d+|[A-Za-z]{2,8});"),
    "markdown": re.compile(
        r"^#+(?:\s|$)|\*\*|```|~~|^`.*`$|\\[a-z]{2,}|^\s*[-*]\s\[|\]\(|^---+$|\[/?[a-z]+\]"
    ),
    "code": re.compile(
        r"\w\(|\)\s*[;{:]|[=!<>]==?|[-=]>|::|&&|\+\+|\+=|[a-z]_[a-z]|__|[{}]|^#!|(?:^|\s)//|0x[0-9A-Fa-f]"
    ),
    "url": re.compile(
        r"https?\b|://|www\.|\w\.(?:com|org|net|io|gov|edu|html?|php)\b|^\.(?:com|org|net)$|\w@\w+\."
    ),
    "money": re.compile(r"[$€£¥₹₽₿₩₺¢]"),
    "section word": re.compile(r"[§¶]"),
    "hashtag": re.compile(r"(?:^|\s)[#@][A-Za-z]\w*"),
    "mixed-case": re.compile(r"[a-z][A-Z]|[A-Z]{2}[a-z]"),
}
_LATIN = frozenset({"LATIN", "FEMININE", "MASCULINE"})
_EMOJI = frozenset(
    "⚡☕☔⛄⭐⚽⛔❌✅❓❗✨\ufe0f"
)  # pictures among the old symbols, and the mark that asks for one
_LEXICAL_FAMILIES = {
    "standard": "standards-name",
    "law": "law-name",
    "citation-lead": "citation lead",
    "section-word": "section word",
    "authorisation": "authorisation",
    "role": "authorisation",
    "mode": "authorisation",
    "security": "security",
    "code-word": "code word",
    "greeting": "greeting",
    "hedge": "hedge",
    "money": "money",
    "date": "date-like",
    "rare": "rare",
    "archaic": "rare",
    "code": "code",
    "markdown": "markdown",
    "colour": "colour",
}
_NUMBER_WORDS = _set(
    """
    one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand
    million billion
    """
)
_FUNCTION_WORDS = _set(
    """
    a an the this that these those some any no every each all both either neither one such same other
    another i me my mine myself you your yours yourself he him his himself she her hers herself it its
    itself we us our ours they them their theirs who whom whose which what when where why how and or but
    nor so yet if than then because although though while until unless since as of at by for with about
    against between into through during before after above below to from up down in out on off over
    under per via again there here am is are was were be been being have has had having do does did
    doing will would shall should can could may might must not only own too very just also s t d ll m re
    ve don't isn't it's i'm
    """
)
# Names that are everyday words in small letters: only a capital makes them names.
_EVERYDAY = _set(
    """
    turkey china jordan chad mali polish may march august sans who reach swift oasis unicode posix code
    act bill title rose mark grace brown rock lima male mission victoria frank will ruth faith nice bern
    charter protocol convention annex schedule decree edict directive regulation statute ordinance
    treaty amendment true false alert notice warning attention active enabled disabled system test
    override internal urgent priority debug admin root magna constitution scale
    """
)


def classes_of(text: str) -> frozenset[str]:
    """Return the names of the classes (`CLASSES`) that a token or a short string belongs to.

    A string of several words has the classes of any of them, except "function word", "lower-case word" and
    "punctuation", which all of its words must be.

    Args:
        text: A decoded token or a short string; only the first 400 characters are looked at.

    Returns:
        At least one name.
    """
    body = text[:_MAX_CHARACTERS].strip()
    if not body:
        return frozenset({"blank"})
    words = body.split()
    found = {*_matched(body), *_listed(words), *_characters(body), *_shapes(words)}
    return frozenset(found or {"other"})


def _matched(body: str) -> Iterator[str]:
    yield from (name for name, pattern in _PATTERNS.items() if pattern.search(body))
    if any(c.isdigit() for c in body) and recognise(body).kind == "date":
        yield "date-like"


def _listed(words: list[str]) -> Iterator[str]:
    """Yield the classes of the word lists that hold a word, or two or three in a row."""
    exact, folded = _lists()
    for size in (1, 2, 3):
        for i in range(len(words) - size + 1):
            raw = " ".join(words[i : i + size])
            for form in {raw, raw.strip(".,;:!?\"'()[]“”"), re.split(r"[-/\d]", raw)[0]} - {""}:
                yield from exact.get(form, ())
                yield from exact.get(form.capitalize(), ()) if form.isupper() and len(form) > 3 else ()
                yield from folded.get(form.casefold(), ())


def _characters(body: str) -> Iterator[str]:
    kinds = {c: unicodedata.category(c) for c in body if c != " "}
    if all(kind[0] in "PS" and kind != "So" for kind in kinds.values()):
        yield "punctuation"
    if body.isascii():
        return
    scripts = {unicodedata.name(c, "").partition(" ")[0] for c in body if c.isalpha() and not c.isascii()}
    if scripts - _LATIN:
        yield "non-latin"
    if scripts & _LATIN:
        yield "accented"
    if any((ord(c) >= 0x1F000 and kind == "So") or c in _EMOJI for c, kind in kinds.items()):
        yield "emoji"
    elif any((kind in ("Sm", "So", "Sk") and not c.isascii()) or c in "†‡‰※" for c, kind in kinds.items()):
        yield "symbol"


def _shapes(words: list[str]) -> Iterator[str]:
    cores = [w.strip(".,;:!?\"'") for w in words]
    plain = [c for c in cores if c.replace("-", "").replace("'", "").isalpha()]
    for core in plain:
        if len(core) > 1 and core.isupper():
            yield "all-caps"
        elif len(core) > 1 and core[0].isupper() and core[1:].islower():
            yield "title-case"
        elif len(core) > 2 and core.isascii() and core.islower() and not re.search(r"[aeiouy]", core):
            yield "rare"
    if len(words) == 1 and len(cores[0]) == 1 and cores[0].isalpha():
        yield "letter"
    if len(plain) == len(words):
        if all(len(c) > 1 and c.islower() for c in plain):
            yield "lower-case word"
        if all(c == "I" or (c.casefold() in _FUNCTION_WORDS and not c.isupper()) for c in plain):
            yield "function word"


@functools.cache
def _lists() -> tuple[Mapping[str, frozenset[str]], Mapping[str, frozenset[str]]]:
    """Return the classes of words as written, and of words in any case (case-folded)."""
    exact: dict[str, set[str]] = {}
    folded: dict[str, set[str]] = {}
    for word, name, needs_case in _entries():
        if needs_case or (word.casefold() in _EVERYDAY and not word.islower()):
            exact.setdefault(word, set()).add(name)
        else:
            folded.setdefault(word.casefold(), set()).add(name)
    return _frozen(exact), _frozen(folded)


def _entries() -> Iterator[tuple[str, str, bool]]:
    """Yield (word, class, whether its capitals matter)."""
    for family, name in _LEXICAL_FAMILIES.items():
        for word in word_families().get(family, ()):
            # A short abbreviation in small letters is mostly another word: "ad", "est", "it".
            yield word, name, not word.islower() and len(word) <= 3 and family != "standard"
    places = [(c.name, "country") for c in COUNTRIES] + [(c.demonym, "country") for c in COUNTRIES]
    places += [(t, "country") for t in packaged_tokens("country").tokens]
    places += [(c.capital, "city") for c in COUNTRIES]
    yield from ((word, name, False) for word, name in places)
    people = (*lexicon.FIRST_NAMES, *lexicon.SURNAMES, *lexicon.TITLES)
    yield from ((word, "person", True) for word in people)
    leads = (w for w in lexicon.LEADS if w not in ("in", "by"))  # far more often something else
    yield from ((word, "citation lead", False) for word in leads)
    yield from ((word, "section word", False) for word in lexicon.SECTION_WORDS)
    yield from ((word, "number", False) for word in _NUMBER_WORDS)


def _frozen(lists: Mapping[str, set[str]]) -> Mapping[str, frozenset[str]]:
    return {word: frozenset(names) for word, names in lists.items()}
