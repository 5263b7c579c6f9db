"""Takes known texts out of other texts: a probe must not survive inside a sentence that quotes it.

Detectors quote a probe whole, cut, folded to one line, or in quotes. So a long text is recognised by
any 16 characters of it in a row, however they were cut; a short one by itself, between word ends.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from lorabench.figures import safe_text, visible

_LONG = 16
"""Characters in a row that give a long text away."""
_STEP = _LONG // 2  # of 16 characters in a row, 8 begin at a multiple of 8
_REPEATS = 8  # places of one gram in one text; "AAAA..." would have thousands, all alike
_IDENTIFIER = 8
"""Shorter texts than this are not looked for in names of files and modules."""
_CUT = re.compile(r"…|\.\.\.")
_QUOTES = (("«", "»"), ("'", "'"), ('"', '"'), ("`", "`"), ("“", "”"))
_COMMON = frozenset(
    {
        "a",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "by",
        "for",
        "from",
        "had",
        "has",
        "have",
        "if",
        "in",
        "is",
        "it",
        "its",
        "no",
        "not",
        "of",
        "on",
        "one",
        "or",
        "other",
        "over",
        "so",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "this",
        "to",
        "was",
        "were",
        "which",
        "will",
        "with",
        "you",
        "your",
    }
)
"""Words of every sentence; they are taken out only where they stand in quotes."""


class Shield:
    """Replaces every occurrence of some secret texts by a mark."""

    def __init__(self, secrets: Iterable[str], words: Iterable[str], mark: Callable[[str], str]) -> None:
        """Prepare the search.

        Args:
            secrets: Texts, such as probes and prompts.
            words: Single words of them, case-folded.
            mark: What stands for a text, such as its hash.
        """
        self._mark = mark
        self._forms: list[tuple[str, str]] = []
        self._grams: dict[str, list[tuple[int, int]]] = {}
        short: dict[str, str] = {_folded(word): word for word in words if word.strip()}
        for secret in sorted({s for s in secrets if s.strip()}):
            for form in _forms(secret):
                if len(form) < _LONG:
                    short[form] = secret
                else:
                    self._index(form, secret)
        self._short = short
        self._prose = _pattern(short)
        self._names = _pattern({form: s for form, s in short.items() if len(form) >= _IDENTIFIER})

    def prose(self, text: str) -> str:
        """Return a sentence or a value without the secrets."""
        return self._without(text, self._prose)

    def name(self, text: str) -> str:
        """Return the name of a file, a module or a setting without secrets; short ones may be parts of it."""
        return self._without(text, self._names)

    def _without(self, text: str, short: re.Pattern[str] | None) -> str:
        text = self._without_long(text)
        if short is None:
            return text
        return short.sub(lambda m: self._replaced(m), text)

    def _replaced(self, match: re.Match[str]) -> str:
        found = next(g for g in match.groups() if g is not None)
        return match[0].replace(found, self._mark(self._short[_folded(found)]))

    def _index(self, form: str, secret: str) -> None:
        self._forms.append((form, secret))
        again: Counter[str] = Counter()
        for at in range(0, len(form) - _STEP + 1, _STEP):
            gram = form[at : at + _STEP]
            again[gram] += 1
            if again[gram] <= _REPEATS:
                self._grams.setdefault(gram, []).append((len(self._forms) - 1, at))

    def _without_long(self, text: str) -> str:
        if len(text) < _LONG or not self._grams:
            return text
        folded, parts, done, at = _folded(text), [], 0, 0
        while at <= len(folded) - _STEP:
            hit = max(self._hits(folded, at, done), default=None)
            if hit is None or hit[1] < _LONG:
                at += 1
                continue
            _, length, begin, secret = hit
            found = text[begin : begin + length]
            begin += len(found) - len(found.lstrip())
            parts += [text[done:begin], self._mark(secret)]
            done = at = _after_cut(text, begin + len(found.strip()))
        return "".join([*parts, text[done:]])

    def _hits(self, folded: str, at: int, floor: int) -> Iterator[tuple[bool, int, int, str]]:
        """Yield (whole, length, begin, secret) of each common run through the eight characters at `at`."""
        for index, offset in self._grams.get(folded[at : at + _STEP], ()):
            form, secret = self._forms[index]
            left = right = 0
            while (
                at - left > floor and offset - left > 0 and folded[at - left - 1] == form[offset - left - 1]
            ):
                left += 1
            begin, end = at + _STEP, offset + _STEP
            while begin + right < len(folded) and end + right < len(form):
                if folded[begin + right] != form[end + right]:
                    break
                right += 1
            length = left + _STEP + right
            yield length == len(form), length, at - left, secret


def _after_cut(text: str, at: int) -> int:
    cut = _CUT.match(text, at)
    return cut.end() if cut else at


def _folded(text: str) -> str:
    """Return lower case of the same length, so that places in it are places in `text`."""
    if text.isascii():
        return text.lower()
    return "".join(low if len(low := c.lower()) == 1 else c for c in text)


def _forms(secret: str) -> set[str]:
    """Return what a text may look like where it is quoted."""
    marked = "".join("?" if unicodedata.category(c)[0] in "C" else c for c in secret)
    shown = {secret, secret.strip(), visible(secret), safe_text(secret), marked}
    shown |= {" ".join(secret.split()), repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    return {_folded(form) for form in shown if form}


def _pattern(short: dict[str, str]) -> re.Pattern[str] | None:
    """Return one pattern for all short texts: free between word ends, the commonest only in quotes."""
    quoted = [
        f"{re.escape(left)}({re.escape(form)}){re.escape(right)}"
        for form in sorted(short, key=len, reverse=True)
        for left, right in _QUOTES
    ]
    free = [
        rf"(?<![\w.,:])({re.escape(form)})(?!\w|[.,]\d)"
        for form in sorted(short, key=len, reverse=True)
        if _is_telling(form)
    ]
    return re.compile("|".join([*quoted, *free]), re.IGNORECASE) if quoted else None


def _is_telling(form: str) -> bool:
    """Return whether a short text gives something away without quotes: not "the", not "10"."""
    letters = sum(c.isalnum() for c in form)
    return letters >= (3 if form.strip().isdigit() else 2) and form not in _COMMON
