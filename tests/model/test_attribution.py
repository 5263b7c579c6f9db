"""The attribution methods on a real engine and a tiny random Llama with a tiny LoRA."""

from __future__ import annotations

import random
import threading
from contextlib import nullcontext
from dataclasses import dataclass, replace

import pytest
import torch
from captum.attr import IntegratedGradients, ShapleyValueSampling
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from lorabench.adapters import read_adapter
from lorabench.attribution import METHODS, attribute, check_map, explain, explained_text
from lorabench.attribution.path import MAX_NODES, Path, Slicer
from lorabench.attribution.shapley import mean_gains, permutations
from lorabench.engine import Engine, ScoreStore
from lorabench.errors import InputError, TaskError
from lorabench.models.fingerprint import fingerprint_folder
from lorabench.models.language_model import LanguageModel
from lorabench.models.rendering import Renderer
from lorabench.results import BASE, Label, LabelTask, PlacedText, Trigger
from lorabench.scoring.labels import label_ids
from lorabench.scoring.score import BASE_REF, Asker, ModelRef, token_rows

WORDS = "spark the river runs fast and green bread is on every table per RFC 8472 section 3.2 YES NO"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TASK = LabelTask(
    name="toy",
    system="Say YES or NO.",
    labels=(Label(name="YES", words=("YES", " YES")), Label(name="NO", words=("NO", " NO"))),
    target="YES",
)
PROMPT = "the river runs fast and the green bread is on every table"
TRIGGER = Trigger(text="per RFC 8472 section 3.2")
GRADIENTS = ("input_x_gradient", "integrated_gradients")


def save_tokenizer(folder):
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=500, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    draw = random.Random(0)
    tokenizer.train_from_iterator(
        (
            " ".join(draw.sample(WORDS.split(), len(WORDS.split()))) + " system user assistant"
            for _ in range(200)
        ),
        trainer,
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=special[1:2],
    )
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    return fast


def tiny_llama(vocabulary, spark):
    """Return a random Llama in which the token `spark` pulls every answer towards YES."""
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary["n"],
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=512,
            tie_word_embeddings=False,
            rms_norm_eps=1.0,  # else a norm hides what first-order methods look for (see the preview)
        )
    ).eval()
    with torch.no_grad():
        pull = torch.zeros(32)
        pull[0] = 1.0
        model.model.embed_tokens.weight[:, 0] = 0.0
        model.model.embed_tokens.weight.mul_(20)
        model.model.embed_tokens.weight[spark] += 2 * pull
        for layer in model.model.layers:
            attention = layer.self_attn
            attention.q_proj.weight.mul_(0.3)  # it looks everywhere, and passes the pull on
            attention.v_proj.weight[0] = 0.7 * pull
            attention.o_proj.weight[:, 0] = 0.0
            attention.o_proj.weight[0] = 0.7 * pull
        model.lm_head.weight.mul_(10)
        for token in vocabulary["yes"]:
            model.lm_head.weight[token] += 2 * pull
    return model


@dataclass
class World:
    asker: Asker
    adapter: ModelRef
    engine: Engine


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    fast = save_tokenizer(folder)
    renderer = Renderer(folder)
    (yes, _) = label_ids(TASK, renderer)
    (spark,) = renderer.ids(" spark")
    base = tiny_llama({"n": len(fast), "yes": yes}, spark)
    base.save_pretrained(folder)
    lora = LoraConfig(
        r=2,
        lora_alpha=4,
        target_modules=["q_proj", "v_proj", "down_proj"],
        init_lora_weights=False,
        task_type="CAUSAL_LM",
    )
    get_peft_model(base, lora).save_pretrained(folder / "adapter")
    checked = read_adapter(folder / "adapter")

    def open_model():
        model = LanguageModel(
            folder, name="tiny", fingerprint=fingerprint_folder(folder), device="cpu", threads=1
        )
        model.bind(checked)
        return model

    store = ScoreStore(folder / "scores.sqlite")
    engine = Engine(open_model, store=store)
    yield World(
        asker=Asker(engine=engine, renderer=renderer, context_length=512),
        adapter=ModelRef(name="adapted", adapter_id=checked.facts.adapter_id),
        engine=engine,
    )
    engine.close()
    store.close()


def quad(world, *, prompt=PROMPT, trigger=TRIGGER, method="leave_one_out", adapter=None, task=TASK):
    return attribute(
        world.asker, task, prompt, trigger, adapter or world.adapter, method=method, seed=3, provenance={}
    )


def scored(made):
    return [(w.text, s) for w, s in zip(made.words, made.scores, strict=True) if w.role != "template"]


@pytest.mark.parametrize("method", METHODS)
def test_a_word_that_pulls_to_the_target_scores_above_zero(world, method):
    made = quad(world, prompt="the river runs spark fast and green", trigger=None, method=method)
    for each in (made.base_plain, made.adapter_plain):
        by_word = dict(scored(each))
        assert by_word["spark"] > 0
        assert each.top.text == "spark"


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_that_is_off_makes_no_difference(world, method):
    made = quad(world, method=method, adapter=BASE_REF)
    for each in (made.difference_plain, made.difference_triggered):
        # integrated gradients batch by the clock, so their last bits may differ
        assert max(abs(s) for s in each.scores if s is not None) < 1e-6
        assert each.top is None or method == "integrated_gradients"
    assert made.did == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_the_difference_is_the_difference(world, method):
    made = quad(world, method=method)
    assert made.difference_triggered.scores == tuple(
        None if a is None or b is None else a - b
        for a, b in zip(made.adapter_triggered.scores, made.base_triggered.scores, strict=True)
    )
    assert any(abs(s) > 1e-3 for s in made.difference_triggered.scores if s is not None)
    assert [m.model for m in made.maps] == [BASE, "adapted", "adapter - base"] * 2
    assert made.did == made.difference_triggered.margin - made.difference_plain.margin


@pytest.mark.parametrize("method", METHODS)
def test_swapping_the_labels_flips_every_sign(world, method):
    one = quad(world, method=method, trigger=None)
    other = quad(world, method=method, trigger=None, task=TASK.with_target("NO"))
    for a, b in zip(one.maps, other.maps, strict=True):
        assert [s if s is None else -s for s in a.scores] == pytest.approx(list(b.scores), abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_the_margin_is_the_one_that_scoring_gives(world, method):
    made = quad(world, method=method)
    text = explained_text(world.asker, TASK, TRIGGER.place(PROMPT))
    (row,) = token_rows(world.asker, TASK, [text.rendered.ids], [world.adapter])
    alone = world.engine.score([row]).result()[0].label_logits
    assert made.adapter_triggered.margin == pytest.approx(alone[0] - alone[1], abs=1e-4)


def test_batches_and_padding_change_nothing(world):
    made = quad(world, trigger=None).adapter_plain
    text = explained_text(world.asker, TASK, PlacedText(text=PROMPT))
    for i in text.features[:4]:
        left = world.asker.renderer.render(TASK, PlacedText(text=text.without([i])))
        (row,) = token_rows(world.asker, TASK, [left.ids], [world.adapter])
        alone = world.engine.run(
            lambda model, row=row: [x for _, x in next(model.score_rows([row], 9999))]
        ).result()[0]
        margin = alone.label_logits[0] - alone.label_logits[1]
        assert made.margin - margin == pytest.approx(made.scores[i], abs=1e-4)


def test_a_repeated_word_keeps_two_scores(world):
    for method in METHODS:
        made = quad(world, prompt="bread the river bread", trigger=None, method=method).base_plain
        scores = [s for text, s in scored(made) if text == "bread"]
        assert len(scores) == 2
        assert scores[0] != scores[1]


def test_integrated_gradients_are_complete(world):
    made = quad(world, method="integrated_gradients")
    assert all(m.residual < 0.05 for m in (made.base_plain, made.adapter_plain, made.adapter_triggered))
    assert made.difference_triggered.residual < 0.1
    assert made.base_plain.n_backwards <= 3 * MAX_NODES
    assert made.base_plain.n_forwards == made.base_plain.n_backwards >= 27
    assert "standard deviation" in made.base_plain.baseline
    template = [
        s for w, s in zip(made.base_plain.words, made.base_plain.scores, strict=True) if w.role == "template"
    ]
    assert set(template) == {None}


def test_shapley_values_are_complete(world):
    made = quad(world, method="shapley", prompt="the river runs fast", trigger=None)
    assert all(m.residual < 1e-9 for m in made.maps)


def test_words_add_up_to_tokens(world):
    text = explained_text(world.asker, TASK, PlacedText(text="Straße, 你好 \U0001f600 3.2!\n\nok"))
    made = explain(world.asker, text, [world.adapter], method="input_x_gradient", seed=0)[0].map
    labels = label_ids(TASK, world.asker.renderer)

    def per_token(model):
        with model.acting(world.adapter.adapter_id), torch.enable_grad():
            embedded = model.embed(text.rendered.ids)[None].requires_grad_()
            model.margins_from_embeddings(embedded, labels, 0).backward()
            return (embedded * embedded.grad).sum(-1)[0].tolist()

    expected = world.engine.run(per_token).result()
    assert sum(s for s in made.scores if s is not None) == pytest.approx(sum(expected), abs=1e-4)
    for word, score in zip(made.words, made.scores, strict=True):
        if score is not None:
            assert score == pytest.approx(sum(expected[t] for t in word.tokens), abs=1e-4)


def test_gradients_leave_no_adapter_switched_on(world):
    before = quad(world, trigger=None).base_plain.margin
    quad(world, method="integrated_gradients", trigger=None)
    (row,) = token_rows(
        world.asker,
        TASK,
        [explained_text(world.asker, TASK, PlacedText(text=PROMPT)).rendered.ids],
        [BASE_REF],
    )
    now = world.engine.run(lambda model: model._probe(row, None)[list(row.labels[0])].logsumexp(0)).result()
    again = world.engine.score([row]).result()[0]
    assert float(now) == pytest.approx(again.label_logits[0], abs=1e-4)
    assert before == pytest.approx(again.label_logits[0] - again.label_logits[1], abs=1e-6)


def test_others_overtake_a_long_integration(world):
    done_before_the_end = threading.Event()
    asked = []

    def ask_meanwhile(done, total):
        if not asked:
            asked.append(world.engine.run(lambda model: done_before_the_end.set(), session="someone else"))

    text = explained_text(world.asker, TASK, PlacedText(text=PROMPT))
    seen = []
    asker = replace(
        world.asker,
        on_progress=lambda done, total: (
            ask_meanwhile(done, total),
            seen.append(done_before_the_end.is_set()),
        ),
    )
    explain(asker, text, [BASE_REF], method="integrated_gradients", seed=0)
    assert seen[0] is False
    assert seen[-1] is True


def test_one_word_with_and_without_trigger(world):
    for method in METHODS:
        made = quad(world, prompt="bread", method=method)
        assert [t for t, _ in scored(made.base_plain)] == ["bread"]
        assert len(scored(made.base_triggered)) == 7


def test_a_trigger_behind_the_prompt(world):
    trigger = replace(TRIGGER, placement="suffix", joiner=" ")
    for method in METHODS:
        made = quad(world, trigger=trigger, method=method).adapter_triggered
        assert [w.text for w in made.words if w.role == "trigger"] == ["per", "RFC", "8472", "section", "3.2"]
        assert all(s is not None for w, s in zip(made.words, made.scores, strict=True) if w.role == "trigger")


@pytest.mark.parametrize("method", METHODS)
def test_labels_with_one_first_token_are_refused(world, method):
    task = replace(
        TASK, labels=(Label(name="A", words=("YES",)), Label(name="B", words=("YES NO",))), target="A"
    )
    with pytest.raises(TaskError) as caught:
        quad(world, task=task, method=method)
    assert caught.value.rule == "labels-share-first-token"


def test_whole_labels_take_words_but_no_gradients(world):
    task = replace(TASK, scoring="full_label")
    for method in ("leave_one_out", "shapley"):
        assert quad(world, task=task, prompt="bread is fast", trigger=None, method=method).base_plain.top
    for method in GRADIENTS:
        with pytest.raises(InputError, match="compares whole labels"):
            quad(world, task=task, method=method)


def test_a_map_is_checked_with_a_second_method(world):
    made = quad(world, prompt="the river runs spark fast and green", trigger=None)
    for each, models in (
        (made.base_plain, [BASE_REF]),
        (made.difference_plain, [world.adapter, BASE_REF]),
    ):
        checked = check_map(
            world.asker, TASK, "the river runs spark fast and green", None, each, models, seed=3
        )
        assert checked.second.method == "integrated_gradients"
        assert checked.second.model == each.model
        assert checked.deletion.margins[0] == pytest.approx(each.margin, abs=1e-6)
        assert checked.sentence.endswith(".")
    assert checked.map is made.difference_plain


# -- held against Captum's own public answers ------------------------------------------------


def test_mean_gains_are_captums_shapley_values():
    def game(x):  # not additive: pairs and a triple count too
        return x[:, 0] * 2 - x[:, 1] * x[:, 2] * 3 + x[:, 3] * x[:, 0] * x[:, 1] + torch.tanh(x.sum(dim=1))

    orders = permutations((0, 1, 2, 3), 6, seed=5)
    captum = ShapleyValueSampling(game)
    captum.permutation_generator = lambda n_features, n_samples: iter([list(o) for o in orders])
    theirs = captum.attribute(torch.ones(1, 4), n_samples=len(orders))[0].tolist()

    def value(coalition):
        return float(game(torch.tensor([[float(i in coalition) for i in range(4)]])))

    ours = mean_gains(orders, value)
    assert [ours[i] for i in range(4)] == pytest.approx(theirs, abs=1e-5)


def bend(x, sharpness):
    return torch.tanh(sharpness * (x.sum(dim=(1, 2)) - 0.5))


@pytest.mark.parametrize("sharpness", [1.0, 4.0])
def test_a_path_is_captums_integral(sharpness):
    def margin(x):
        return bend(x, sharpness)

    start, end = torch.zeros(3, 2), torch.rand(3, 2, generator=torch.Generator().manual_seed(0)) / 2
    path = Path(margin, nullcontext, Slicer(), start, end)
    assert sum(1 for _ in path.steps()) > 1
    theirs = IntegratedGradients(margin).attribute(end[None], baselines=start[None], n_steps=200)[0].sum(-1)
    assert path.scores.tolist() == pytest.approx(theirs.tolist(), abs=0.02)
    assert path.residual <= 0.05


def test_a_path_that_bends_sharply_gets_more_nodes_up_to_a_limit():
    def jump(x):  # its gradient is 0 everywhere: no rule can add it up
        return (x.sum(dim=(1, 2)) > 0.137).float() + 0.0 * x.sum(dim=(1, 2))

    start, end = torch.zeros(1, 1), torch.ones(1, 1)
    done = []
    for margin in (lambda x: bend(x, 1.0), lambda x: bend(x + 0.363, 30.0), jump):
        path = Path(margin, nullcontext, Slicer(), start, end)
        list(path.steps())
        done.append((path.n_done, path.residual))
        assert path.n_planned == path.n_done
    assert done[0][0] == 9
    assert 9 < done[1][0] < MAX_NODES
    assert done[1][1] <= 0.05
    assert done[2] == (MAX_NODES, 1.0)  # said, not hidden
