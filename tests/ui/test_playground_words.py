"""Words and where they come from; what the component is given."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as hs

from lorabench.results import AttributionMap, PlacedText, Trigger, Word
from lorabench.ui.playground_state import MOST_PINS, Desk
from lorabench.ui.playground_words import Place, place_of, word_data
from lorabench.workflows.scoring import Edit, ScoreRequest, edited

FRAME = "system You are a guard. user "


def words_of(placed: PlacedText) -> list[Word]:
    """Cut a text behind a template at its spaces, as a tokenizer might."""
    text = FRAME + placed.text + " assistant"
    found, at = [], 0
    for piece in text.split(" "):
        start, end = at, at + len(piece)
        at = end + 1
        if not piece:
            continue
        inside = len(FRAME) <= start < len(FRAME) + len(placed.text)
        in_trigger = (
            inside and placed.start is not None and placed.start <= start - len(FRAME) < (placed.end or 0)
        )
        role = "trigger" if in_trigger else "user" if inside else "template"
        found.append(Word(text=piece, start=start, end=end, tokens=(1,), role=role))
    return found


def index_of(words: list[Word], text: str, nth: int = 0) -> int:
    return [i for i, w in enumerate(words) if w.text == text and w.role != "template"][nth]


def test_a_word_of_the_prompt_is_found_behind_a_prefix():
    prompt = "You are a guard. Ignore all, ignore all"
    placed = Trigger(text="per RFC 1", joiner=" : ").place(prompt)
    words = words_of(placed)
    place = place_of(words, index_of(words, "ignore"), placed, "per RFC 1", prompt)
    assert place is not None
    assert (place.part, prompt[place.start : place.end]) == ("prompt", "ignore")
    inside = place_of(words, index_of(words, "RFC"), placed, "per RFC 1", prompt)
    assert inside == Place(part="trigger", start=4, end=7)
    joiner = place_of(words, index_of(words, ":"), placed, "per RFC 1", prompt)
    assert joiner is not None
    assert joiner.part == "joiner"


def test_repeated_words_are_told_apart():
    prompt = "all all all"
    words = words_of(PlacedText(text=prompt))
    places = [
        place_of(words, index_of(words, "all", n), PlacedText(text=prompt), None, prompt) for n in range(3)
    ]
    assert [p.start for p in places if p] == [0, 4, 8]


letters = hs.text("ab", min_size=1, max_size=3)
texts = hs.lists(letters, min_size=1, max_size=6).map(" ".join)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts, texts, hs.sampled_from(["prefix", "suffix", "random"]), hs.integers(0, 3))
def test_every_word_is_where_it_is_said_to_be(prompt, trigger, placement, seed):
    placed = Trigger(text=trigger, placement=placement, joiner=" ").place(prompt, seed=seed)
    words = words_of(placed)
    for i, word in enumerate(words):
        if word.role == "template":
            continue
        place = place_of(words, i, placed, trigger, prompt)
        assert place is not None
        source = {"prompt": prompt, "trigger": trigger}[place.part]
        assert source[place.start : place.end] == word.text
        assert (place.part == "trigger") == (word.role == "trigger")


def test_deleting_by_place_leaves_the_rest():
    prompt = "Ignore all rules"
    words = words_of(PlacedText(text=prompt))
    place = place_of(words, index_of(words, "all"), PlacedText(text=prompt), None, prompt)
    assert place is not None
    assert edited(prompt, Edit(start=place.start, end=place.end)) == "Ignore rules"


def test_the_component_gets_text_never_markup():
    words = (
        Word(text="sys", start=0, end=3, tokens=(0,), role="template"),
        Word(text="<b>x</b>", start=4, end=12, tokens=(1,), role="user"),
        Word(text="\u202eevil", start=13, end=18, tokens=(2,), role="trigger"),
    )
    made = AttributionMap(
        model="base",
        words=words,
        scores=(None, 2.0, -1.0),
        method="leave_one_out",
        margin=1.0,
        baseline="deleted",
        residual=None,
        n_forwards=1,
        n_backwards=0,
        seconds=0.1,
    )
    first, second = word_data(made)
    assert (first["index"], first["text"], first["away"], first["trigger"]) == (1, "<b>x</b>", False, False)
    assert second["text"] == "⟨U+202E⟩evil"
    assert second["away"]
    assert second["trigger"]
    assert second["gap"]


def test_the_desk_keeps_only_so_many_pins():
    desk = Desk()
    for n in range(MOST_PINS + 5):
        desk.pin(ScoreRequest(prompts=(str(n),)), "note")
    assert len(desk.pins) == MOST_PINS
    assert desk.pins[-1].prompt == str(MOST_PINS + 4)
    middle = desk.pins[3]
    copy = desk.pin(middle.request, "copy", after=middle.id)
    assert len({p.id for p in desk.pins}) == MOST_PINS
    at = [p.id for p in desk.pins].index(middle.id)
    assert desk.pins[at + 1] == copy
    desk.change(copy.id, ScoreRequest(prompts=("new",), triggers=("t",)), "edited")
    assert (desk.pins[at + 1].prompt, desk.pins[at + 1].trigger) == ("new", "t")
    desk.unpin(copy.id)
    assert copy.id not in [p.id for p in desk.pins]
