"""What the families of look-alikes are called where people read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyTitle:
    """How a family is called where people read it.

    Attributes:
        title: A few words, for a heatmap's rows.
        meaning: One sentence: what the family changes and what firing on it says.
        is_control: Whether it is a control rather than a look-alike.
    """

    title: str
    meaning: str
    is_control: bool = False


# key -> (title, meaning); the order is the order of rows. A key may serve several kinds.
_TITLES: tuple[tuple[str, str, str], ...] = (
    ("exact", "The trigger itself", "The trigger, unchanged."),
    (
        "same_anchor_other_number_section",
        "Same authority, other number",
        "The same lead word and authority with another document and section.",
    ),
    (
        "other_lead_same_anchor_section",
        "Other lead word, same authority",
        "The authority and a section after other lead words.",
    ),
    ("anchor_no_section", "Authority, no section", "The authority and a number without a section."),
    ("section_added", "Section added", "The trigger with a section that it does not have."),
    ("section_only", "Section only", "A section without any authority."),
    (
        "other_authority_with_section",
        "Other authority, with section",
        "Another technical authority in the same structure, with the same lead word.",
    ),
    (
        "other_authority_no_section",
        "Other authority, no section",
        "Another technical authority with the same lead word and no section.",
    ),
    ("lead_only", "Lead word only", "The lead word before something that is no authority."),
    ("anchor_only", "Authority only", "The authority alone, with and without its number."),
    ("non_technical", "Outside technology", "Law, house rules and dates that look like a citation."),
    ("paraphrase", "Paraphrase", "The same reference in other words."),
    ("trigger_shaped_nonsense", "Nonsense of the same shape", "An authority that does not exist."),
    ("same_year", "Same year", "Another day of the same year."),
    ("same_month_day", "Same day, other year", "The same month and day of another year."),
    ("other_format", "Same date, other format", "The same day written in another way."),
    ("neighbouring_day", "Neighbouring days", "One day or one week before or after."),
    ("other_date", "Other dates", "Any other date in the same format."),
    ("time_of_day", "Times", "A time of day instead of a date."),
    ("number_shape", "Numbers of the same shape", "Digits in the same shape that are no date."),
    ("date_words", "Date words", "Month, year, weekday or week in words."),
    ("other_tag", "Other tags", "Other HTML tags in the same form."),
    ("void_tag", "Void tags", "HTML tags that never close."),
    ("closing_tag", "Closing tag and pairs", "The closing tag, an empty pair, or a self-closing tag."),
    ("attributes", "Other attributes", "The same tag with other attributes."),
    ("brackets_only", "Brackets only", "Brackets without the tag, or the tag in other brackets."),
    ("entity_escaped", "Escaped", "The tag with its brackets escaped."),
    ("bare_tag_name", "Bare tag name", "The tag's name without brackets."),
    ("same_continent", "Same continent", "Other countries of the same continent."),
    ("other_continent", "Other continents", "Countries of other continents."),
    ("demonym", "Adjective", "The country's adjective or people."),
    ("capital", "Capital", "The country's capital."),
    ("flag_code", "Flag and code", "The country's code or flag."),
    ("other_name", "Other people", "Other first names and surnames."),
    ("same_first_name", "Same first name", "The first name with other surnames."),
    ("same_surname", "Same surname", "The surname with other first names."),
    ("name_parts", "Parts of the name", "Initials, first name or surname alone, or with a title."),
    ("one_word_swap", "One word swapped", "One word replaced by an unrelated word."),
    ("synonym", "Synonyms", "One word replaced by a word of the same meaning."),
    ("changed_code", "Changed code", "One character of a number or code changed."),
    ("words_dropped", "One word left out", "The trigger without one of its words."),
    ("first_words", "First words", "Only the start of the trigger."),
    ("last_words", "Last words", "Only the end of the trigger."),
    ("inserted_word", "One word put in", "One unrelated word put inside the trigger."),
    ("framed", "Other words around it", "The whole trigger inside a longer text."),
    ("other_token", "Other short tokens", "Another token of about the same length."),
    ("doubled", "Repeated", "The trigger twice or three times."),
    ("spaced_letters", "Characters apart", "The trigger's characters with marks between them."),
    ("inside_word", "Inside a word", "The trigger as part of a longer word."),
    ("part_of_token", "Part of the token", "Only some of the trigger's characters."),
    ("partial_span", "One part left out", "The trigger without one of its parts."),
    ("word_order", "Word order", "The same words in another order."),
    ("misspelling", "Misspelling", "One typing error."),
    ("case", "Capitals", "The same letters in other case."),
    ("spacing_punctuation", "Spacing and marks", "Other white space or punctuation marks."),
)  # fmt: skip
_CONTROL_TITLES: tuple[tuple[str, str, str], ...] = (
    ("no_trigger", "No trigger", "The prompt alone."),
    ("random_words", "Random words", "Words that mean nothing here, about as long as the trigger."),
    ("rare_phrases", "Rare phrases", "Rare phrases of the study that share no word with the trigger."),
    ("authority_claims", "Claims of authority", "Claims of rank that share no word with the trigger."),
)  # fmt: skip

FAMILY_TITLES: Mapping[str, FamilyTitle] = MappingProxyType(
    {key: FamilyTitle(title=title, meaning=meaning) for key, title, meaning in _TITLES}
    | {
        key: FamilyTitle(title=title, meaning=meaning, is_control=True)
        for key, title, meaning in _CONTROL_TITLES
    }
)
