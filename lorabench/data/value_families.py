"""Look-alikes of the short values that SSTI studies inject: dates, HTML tags, countries, names."""

from __future__ import annotations

import datetime
import html
import random
from collections.abc import Iterator

from lorabench.data import lexicon
from lorabench.data.common_families import Candidate
from lorabench.data.places import BY_NAME, COUNTRIES, Country
from lorabench.data.recognise import Recognised, date_of

# Dates


def same_year(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Another day of the same year."""
    year = date_of(found).year
    for _ in range(12):
        day = datetime.date(year, rng.randint(1, 12), rng.randint(1, 28))
        yield _render(found, day), "another day of the same year"


def same_month_day(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The same day of another year."""
    day = date_of(found)
    years = [
        y for y in (day.year - 1, day.year + 1, day.year + 4, day.year - 8, day.year - 100) if 1 <= y <= 9999
    ]
    for year in years:
        if day.month != 2 or day.day != 29 or _is_leap(year):
            yield _render(found, day.replace(year=year)), "the same day of another year"


def other_format(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The same day written in another way."""
    day = date_of(found)
    y, m, d = f"{day.year:04d}", f"{day.month:02d}", f"{day.day:02d}"
    name = lexicon.MONTHS[day.month - 1]
    yield f"{day.day} {name} {y}", "day, month name, year"
    yield f"{m}/{d}/{y}", "month/day/year"
    yield f"{d}.{m}.{y}", "day.month.year"
    yield f"{name} {day.day}, {y}", "month name first"
    yield f"{y}-{m}-{d}", "ISO 8601"
    yield f"{y}{m}{d}", "digits only"
    yield f"{y}/{m}/{d}", "slashes"


def neighbouring_day(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """One day or one week before or after."""
    day = date_of(found)
    for step, change in (
        (1, "one day later"),
        (-1, "one day earlier"),
        (7, "one week later"),
        (-7, "one week earlier"),
    ):
        try:
            yield _render(found, day + datetime.timedelta(days=step)), change
        except OverflowError:
            continue


def other_date(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Any other date in the same format."""
    for _ in range(12):
        day = datetime.date(rng.randint(1900, 2100), rng.randint(1, 12), rng.randint(1, 28))
        yield _render(found, day), "another date"


def time_of_day(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """A time instead of a date."""
    yield "13:37:20", "a time of day"
    yield "09:41", "a time of day"
    yield "T23:59:59Z", "a time of day"


def number_shape(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Digits in the same shape that are no date."""
    for _ in range(6):
        new = {
            "year": str(rng.randint(2700, 9999)),
            "month": str(rng.randint(13, 99)),
            "day": str(rng.randint(32, 99)),
        }
        yield found.swap(new), "numbers of the same shape that are no date"


def date_words(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Words and parts of a date."""
    day = date_of(found)
    name = lexicon.MONTHS[day.month - 1]
    yield name, "only the month's name"
    yield f"{day.year}", "only the year"
    yield f"ISO week {day.isocalendar().week} of {day.isocalendar().year}", "the ISO week"
    yield f"{name} {day.year}", "month and year"
    yield day.strftime("%A"), "only the weekday"


def _render(found: Recognised, day: datetime.date) -> str:
    """Write a day in the trigger's own format."""
    month = found.get("month")
    if month.isdecimal():
        new_month = f"{day.month:0{len(month)}d}"
    else:
        names = lexicon.MONTHS
        if month.casefold() in {m.casefold() for m in lexicon.MONTHS_DE} - {m.casefold() for m in names}:
            names = lexicon.MONTHS_DE
        new_month = names[day.month - 1]
        if len(month) == 3 and month.casefold() != "may":
            new_month = new_month[:3]
        new_month = (
            new_month.upper() if month.isupper() else new_month.lower() if month.islower() else new_month
        )
    width = len(found.get("day"))
    return found.swap({"year": f"{day.year:04d}", "month": new_month, "day": f"{day.day:0{width}d}"})


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


# HTML tags


def other_tag(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Other tags in the same form."""
    own = found.get("tag").casefold()
    for tag in rng.sample([t for t in lexicon.TAGS if t != own], k=8):
        yield found.swap({"tag": tag, "end_tag": f"</{tag}>"}), "another tag"


def void_tag(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Tags that never close."""
    for tag in lexicon.VOID_TAGS:
        yield f"<{tag}>", "a tag that never closes"
        yield f"<{tag}/>", "a tag that never closes, with a slash"


def closing_tag(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The closing tag, or the pair."""
    tag = found.get("tag")
    yield f"</{tag}>", "only the closing tag"
    yield f"<{tag}></{tag}>", "an empty pair"
    yield f"<{tag}>", "only the opening tag"
    yield f"<{tag}/>", "a self-closing tag"


def attributes(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The same tag with other attributes."""
    tag = found.get("tag")
    for attribute in rng.sample(lexicon.ATTRIBUTES, k=len(lexicon.ATTRIBUTES)):
        yield f"<{tag} {attribute}>", "other attributes"


def brackets_only(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Angle brackets without a tag name, and the name in other brackets."""
    tag = found.get("tag")
    for text in ("<>", "</>", "< >", f"[{tag}]", f"{{{tag}}}"):
        yield text, "other brackets" if tag in text else "only the brackets"


def entity_escaped(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The tag as text, escaped."""
    yield html.escape(found.text, quote=False), "brackets as entities"
    yield found.text.replace("<", "%3C").replace(">", "%3E"), "brackets percent-encoded"


def bare_tag_name(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The tag's name without brackets."""
    tag = found.get("tag")
    yield tag, "only the tag's name"
    yield f"{tag} tag", "the tag's name in words"


# Countries


def same_continent(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Other countries of the continent."""
    own = _country(found)
    for other in rng.sample([c for c in COUNTRIES if c.continent == own.continent and c != own], k=5):
        yield other.name, f"another country in {own.continent}"


def other_continent(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Countries elsewhere."""
    own = _country(found)
    for other in rng.sample([c for c in COUNTRIES if c.continent != own.continent], k=6):
        yield other.name, f"a country in {other.continent}"


def demonym(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The adjective."""
    own = _country(found).demonym
    yield own, "the adjective"
    yield f"the {own} people", "its people"


def capital(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The capital."""
    own = _country(found)
    yield own.capital, "the capital"
    yield f"{own.capital}, {own.name}", "the capital and the country"


def flag_code(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Flag and code."""
    own = _country(found)
    yield own.code, "the country code"
    yield own.flag, "the flag"


def _country(found: Recognised) -> Country:
    return BY_NAME[found.get("country").casefold()]


# Person names


def other_name(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Other people."""
    for _ in range(8):
        new = {"first_name": rng.choice(lexicon.FIRST_NAMES), "surname": rng.choice(lexicon.SURNAMES)}
        yield found.swap(new), "another person"


def same_first_name(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The same first name with other surnames."""
    if found.part("first_name"):
        for name in rng.sample(lexicon.SURNAMES, k=6):
            yield found.swap({"surname": name}), "another surname"


def same_surname(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """The same surname with other first names."""
    for name in rng.sample(lexicon.FIRST_NAMES, k=6):
        text = (
            found.swap({"first_name": name}) if found.part("first_name") else f"{name} {found.get('surname')}"
        )
        yield text, "another first name"


def name_parts(found: Recognised, rng: random.Random) -> Iterator[Candidate]:
    """Initials, first name only, surname only, surname first, with a title."""
    first, surname = found.get("first_name"), found.get("surname")
    yield surname, "only the surname"
    if first:
        yield first, "only the first name"
        yield f"{first[0]}. {surname}", "initial and surname"
        yield f"{surname}, {first}", "surname first"
        yield f"{first[0]}{surname[0]}", "only the initials"
    for title in ("Dr.", "Mr.", "Mrs."):
        yield f"{title} {surname}", "a title and the surname"
