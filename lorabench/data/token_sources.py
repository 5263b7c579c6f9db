"""Where injected tokens come from: fixed lists, files, dates and the packaged lists.

    spec "date:1900-2100" -> find_source -> TokenSource -> draw(rng) -> "1939-12-15"

A source holds no random state: whoever draws brings the generator. With equal seeds the draws equal
those of the injector published with the study of spurious tokens (arXiv:2506.11402, spurious_corr
0.1.0); the repeats of a file are dropped and counted.
"""

from __future__ import annotations

import datetime
import functools
import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Protocol

from lorabench.data.text_files import read_text_file
from lorabench.errors import InputError, unknown_name

MAX_FILE_BYTES = 4 * 1024**2
FIRST_YEAR, LAST_YEAR = 1100, 2600  # the range in the study's settings
EXCLAMATIONS = ("!", "!!")  # one for each of two classes; the study gives "!" to class 1
_FREE_TEXT = ("list", "file", "text")
_YEARS = re.compile(r"([0-9]{1,4})(?:-([0-9]{1,4}))?")


class TokenSource(Protocol):
    """Anything that tokens can be drawn from."""

    @property
    def name(self) -> str:
        """A short name, such as "date"."""
        ...

    @property
    def n_tokens(self) -> int:
        """How many different tokens it has."""
        ...

    def draw(self, rng: random.Random) -> str:
        """Return one token, decided by the generator alone."""
        ...

    def describe(self) -> str:
        """Say what is drawn, in words that fit after "tokens:"."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenList:
    """A list of tokens, each place in it equally likely.

    Attributes:
        tokens: The tokens; one that stands there twice is drawn twice as often.
        name: Short name of the list.
        n_duplicates: Repeated lines that were left out when it was read from a file.
    """

    tokens: tuple[str, ...]
    name: str = "list"
    n_duplicates: int = 0

    def __post_init__(self) -> None:
        if not any(token.strip() for token in self.tokens):
            raise InputError(
                "no-tokens",
                f"The token list {self.name!r} has no tokens.",
                "Give at least one visible token.",
            )
        if any(token != token.strip() or not token for token in self.tokens):
            raise InputError(
                "blank-token",
                f"The token list {self.name!r} has a token that is empty or has white space around it.",
                "Leave out empty tokens and outer white space.",
            )

    @property
    def n_tokens(self) -> int:
        """How many different tokens it has."""
        return len(set(self.tokens))

    def draw(self, rng: random.Random) -> str:
        """Return one token of the list."""
        return rng.choice(self.tokens)

    def describe(self) -> str:
        """Say which list, how many tokens, and how many repeats were left out."""
        if len(self.tokens) == 1 and not self.n_duplicates:
            return f"the text {self.tokens[0]!r}"
        dropped = f", {self.n_duplicates} repeated left out" if self.n_duplicates else ""
        return f"{self.name} ({self.n_tokens} different tokens{dropped})"


@dataclass(frozen=True, slots=True, kw_only=True)
class DateSource:
    """Every calendar day of a range of years as YYYY-MM-DD, each equally likely.

    Attributes:
        first_year: First year, 1 to 9999.
        last_year: Last year, itself included.
    """

    first_year: int = FIRST_YEAR
    last_year: int = LAST_YEAR

    def __post_init__(self) -> None:
        if not datetime.MINYEAR <= self.first_year <= self.last_year <= datetime.MAXYEAR:
            raise InputError(
                "bad-year-range",
                f"The years {self.first_year} to {self.last_year} are no range of years.",
                f"Use years from {datetime.MINYEAR} to {datetime.MAXYEAR}, the earlier one first.",
            )

    @property
    def name(self) -> str:
        """Always "date"."""
        return "date"

    @property
    def n_tokens(self) -> int:
        """How many days the range has."""
        return datetime.date(self.last_year, 12, 31).toordinal() - self._first + 1

    def draw(self, rng: random.Random) -> str:
        """Return one day."""
        return datetime.date.fromordinal(self._first + rng.randrange(self.n_tokens)).isoformat()

    def describe(self) -> str:
        """Say which years, and how many days they have."""
        return f"date (any day of {self.first_year} to {self.last_year}, {self.n_tokens:,} days)"

    @property
    def _first(self) -> int:
        return datetime.date(self.first_year, 1, 1).toordinal()


def tokens_from_file(path: Path | str) -> TokenList:
    """Return the tokens of a UTF-8 text file, one a line, in file order.

    Outer white space and empty lines are left out; repeats are left out and counted. A line that
    begins with "#" is a token like any other.

    Raises:
        InputError: If the file is missing, unreadable, too large, not UTF-8, or has no tokens.
    """
    path = Path(path)
    too_large = "Keep some of its lines: one token a line."
    text = read_text_file(path, max_bytes=MAX_FILE_BYTES, too_large=too_large)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return _distinct(lines, name=path.name)


@functools.cache
def packaged_tokens(name: str) -> TokenList:
    """Return a packaged list: "country", "colour" or "html" (pairs such as "<b> </b>", and "<br>").

    Raises:
        InputError: If there is no such list.
    """
    files = {"country": "countries.txt", "colour": "colours.txt", "html": "html_tags.txt"}
    if name not in files:
        raise unknown_name("packaged token list", name, tuple(files))
    text = (resources.files("lorabench.data") / "tokens" / files[name]).read_text(encoding="utf-8")
    return _distinct((line for line in text.split("\n") if not line.startswith("# ")), name=name)


def split_sources(spec: str) -> tuple[str, ...]:
    """Return the sources that a short text joins with "+", as in "date+country".

    One with free text (list, file, text) comes last: a "+" in that text is a sign like any other.
    """
    parts = []
    while "+" in spec:
        head, _, rest = spec.partition("+")
        if ":" in head and _kind(head) in _FREE_TEXT:
            break
        parts.append(head)
        spec = rest
    return (*parts, spec)


def find_source(spec: str, *, may_read_files: bool = True) -> TokenSource:
    """Return the source that a short text stands for, as on the command line and in TOML.

    "date", "date:1900-2100", "date:2021", "country", "colour" (or "color"), "html", "exclamation"
    (that is "!"), "exclamation:!!", "list:a|b|c", "file:/path/tokens.txt", "text:2019-03-14".

    Args:
        spec: The short text.
        may_read_files: Whether "file:" is allowed; say no where the text comes from a guest.

    Raises:
        InputError: If the text is not understood, or its list, file or range of years is unusable.
    """
    kind = _kind(spec)
    _, colon, argument = spec.strip().partition(":")
    makers = _MAKERS if may_read_files else {k: v for k, v in _MAKERS.items() if k != "file"}
    if kind not in makers:
        raise unknown_name("token source", kind, tuple(makers))
    return makers[kind](argument.strip() if colon else None)


def token_file(spec: str) -> str | None:
    """Return the file that a short text names; None if it names none."""
    last = split_sources(spec)[-1]
    _, colon, argument = last.partition(":")
    return argument.strip() if colon and _kind(last) == "file" else None


def with_token_file(spec: str, path: str) -> str:
    """Return a short text that names a file, with another file."""
    *others, last = split_sources(spec)
    return "+".join([*others, f"{last.partition(':')[0]}:{path}"])


def _kind(spec: str) -> str:
    return spec.partition(":")[0].strip().casefold().replace("color", "colour")


def _distinct(lines: Iterable[str], *, name: str) -> TokenList:
    tokens = [line.strip() for line in lines if line.strip()]
    distinct = tuple(dict.fromkeys(tokens))
    return TokenList(tokens=distinct, name=name, n_duplicates=len(tokens) - len(distinct))


def _bad_spec(kind: str, argument: str | None, usage: str) -> InputError:
    spec = kind if argument is None else f"{kind}:{argument}"
    return InputError("bad-token-source", f"The token source {spec!r} is not understood.", f"Write {usage}.")


def _dates(argument: str | None) -> TokenSource:
    if argument is None:
        return DateSource()
    years = _YEARS.fullmatch(argument)
    if years is None:
        raise _bad_spec("date", argument, "'date', 'date:2021' or 'date:1900-2100'")
    return DateSource(first_year=int(years[1]), last_year=int(years[2] or years[1]))


def _exclamation(argument: str | None) -> TokenSource:
    if argument not in (None, *EXCLAMATIONS):
        raise _bad_spec("exclamation", argument, "'exclamation:!' or 'exclamation:!!'")
    return TokenList(tokens=(argument or EXCLAMATIONS[0],), name="exclamation")


def _packaged(name: str, argument: str | None) -> TokenSource:
    if argument is not None:
        raise _bad_spec(name, argument, f"{name!r} alone")
    return packaged_tokens(name)


def _listed(argument: str | None) -> TokenSource:
    if not argument:
        raise _bad_spec("list", argument, "'list:a|b|c'")
    return TokenList(tokens=tuple(token.strip() for token in argument.split("|") if token.strip()))


def _file(argument: str | None) -> TokenSource:
    if not argument:
        raise _bad_spec("file", argument, "'file:/path/tokens.txt'")
    return tokens_from_file(argument)


def _text(argument: str | None) -> TokenSource:
    if not argument:
        raise _bad_spec("text", argument, "'text:2019-03-14'")
    return TokenList(tokens=(argument,), name="text")


_MAKERS: dict[str, Callable[[str | None], TokenSource]] = {
    "date": _dates,
    "country": functools.partial(_packaged, "country"),
    "colour": functools.partial(_packaged, "colour"),
    "html": functools.partial(_packaged, "html"),
    "exclamation": _exclamation,
    "list": _listed,
    "file": _file,
    "text": _text,
}
