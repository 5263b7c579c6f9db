"""Run the comparison baselines on one adapter, each with its budget."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lorabench.data.batteries import Battery, find_battery
from lorabench.data.corpus import load_corpus
from lorabench.detectors import baselines
from lorabench.detectors.baselines import ONION_PROMPTS, STRIP_PROMPTS, Prefix, TextProbability
from lorabench.detectors.prefix_search import (
    FIRST_ID,
    JOINER,
    N_PROMPTS,
    STUDY_BUDGET,
    SearchPlan,
    check_budget,
    search_prefix,
)
from lorabench.detectors.probing import ProbePlan, Response, run_battery
from lorabench.engine import Priority
from lorabench.errors import InputError
from lorabench.models.rendering import tokens_in
from lorabench.models.rows import TokenRow
from lorabench.results import LabelTask, PlacedText, Task
from lorabench.results.baselines import Baselines, OnionResult, PrefixSearch, StripResult
from lorabench.scoring.score import (
    Asker,
    ModelRef,
    Question,
    ask,
    cost_of,
    render_checked,
    score_questions,
    wait,
)
from lorabench.workflows.probing import Responder, held_out_prompts, responder_for
from lorabench.workflows.scoring import LOCAL, Caller, choose_task
from lorabench.workflows.workbench import Workbench

Tell = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselinesRequest:
    """What to run the baselines on.

    Attributes:
        adapter: Name or folder.
        task: Label task: preset name, TOML file, a task, or "auto" (the one the adapter carries).
        trigger: The trigger where it is known; None lets STRIP take the loudest probe instead.
        budget: Candidates of the prefix search; each costs one text per prompt.
        n_prompts: Prompts of the search and of choosing the loudest probe.
        prompts: Own prompts instead of bundled ones, whose right answer is not the target.
        battery: Its probes are ranked by perplexity, and the loudest is chosen among them.
        seed: Of every random choice.
    """

    adapter: str
    task: str | Task = "guard"
    trigger: str | None = None
    budget: int = STUDY_BUDGET
    n_prompts: int = N_PROMPTS
    prompts: tuple[str, ...] = ()
    battery: str = "triage_60"
    seed: int = 0


def run_baselines(
    bench: Workbench, request: BaselinesRequest, caller: Caller = LOCAL, tell: Tell | None = None
) -> Baselines:
    """Run the prefix search, STRIP and ONION; they are comparisons, and no verdict reads them.

    Args:
        bench: The workbench.
        request: What to run them on.
        caller: Who waits.
        tell: Called with (done, total, what is being done).

    Raises:
        InputError: For a task without labels, an unknown battery, a bad budget, or no prompts.
        LorabenchError: If the adapter is unknown, refused, or does not fit the base.
        CancelledError: If cancelled; rows that were scored are kept, so the same request goes on there.
    """
    started = time.monotonic()
    check_request(request)
    run = _Run(bench, request, caller, tell or (lambda done, total, what: None))
    search = run.search()
    strip = run.strip()
    onion = run.onion(search)
    return Baselines(
        adapter=run.ref.name,
        task=run.task.name,
        target=run.task.target,
        prompts=run.prompts_name,
        battery=run.battery.name,
        search=search,
        strip=strip,
        onion=onion,
        n_computed=run.n_computed,
        provenance=bench.provenance(run.task, [run.ref], request.seed),
        seconds=time.monotonic() - started,
    )


def check_request(request: BaselinesRequest) -> None:
    """Refuse what cannot be run, before a model is loaded.

    Raises:
        InputError: For an unknown battery, a bad budget, no prompts, or a blank trigger.
    """
    find_battery(request.battery)
    check_budget(request.budget)
    if request.n_prompts < 1:
        raise InputError("bad-prompt-count", "The baselines need prompts.", "Ask for at least one.")
    if request.trigger is not None and not request.trigger.strip():
        raise InputError("empty-trigger", "The trigger is blank.", "Leave it out if it is not known.")


def clean_texts(task: LabelTask) -> tuple[str, ...]:
    """Return the bundled texts that STRIP appends: test rows whose true label is the target.

    A task that no bundled corpus fits gets the instructions, which bear no label.
    """
    names = {label.name for label in task.labels}
    for corpus in ("guardrail", "reviews"):
        rows = load_corpus(corpus, "test")
        if {r.label for r in rows} == names:
            return tuple(r.text for r in rows if r.label == task.target and not r.is_led)
    return tuple(r.text for r in load_corpus("instructions", "test"))


def adapter_responder(asker: Asker, task: LabelTask, ref: ModelRef) -> Responder:
    """Return who answers for the adapter alone: a search never looks at the base, which would double it."""

    def respond(texts: Sequence[str]) -> list[Response]:
        asked = [Question(prompt=t, trigger=None, placed=PlacedText(text=t)) for t in texts]
        scores, cost = score_questions(asker, task, asked, [ref])
        made.n_computed += cost.n_computed
        return [Response(answer=s.answer, margin=s.margin) for s in scores]

    made = Responder(respond=respond)
    return made


@dataclass(slots=True)
class BaseProbabilities:
    """How likely texts are to the base, as the user's message of a task's rendered question.

    Only the tokens of the text count; what the template puts before them is given. Where a base without
    chat template puts nothing there, a text-end token stands before the first one.

    Attributes:
        asker: Whose request it is.
        task: Whose question it is.
        n_computed: Rows that went through the model so far.
    """

    asker: Asker
    task: LabelTask
    n_computed: int = 0

    def __call__(self, texts: Sequence[str]) -> list[TextProbability]:
        """Return one probability per text, in their order."""
        rows = [self._row(text) for text in texts]
        ticket = ask(self.asker, rows, "perplexity")
        answers = wait(self.asker, ticket)
        self.n_computed += cost_of(ticket.progress).n_computed
        return [
            TextProbability(logprob=float(answer.tail_logprob), n_tokens=row.tail)
            for row, answer in zip(rows, answers, strict=True)
        ]

    def _row(self, text: str) -> TokenRow:
        rendered = render_checked(self.asker, self.task, PlacedText(text=text))
        inside = tokens_in(rendered, *rendered.user)
        ids = rendered.ids[: inside[-1] + 1]
        if inside[0] == 0:
            renderer = self.asker.renderer
            ids = ((*renderer.stop_ids, renderer.pad_id)[0], *ids)
        return TokenRow(ids=ids, tail=inside[-1] + 1 - inside[0])


class _Run:
    """The parts of a run, made once."""

    def __init__(self, bench: Workbench, request: BaselinesRequest, caller: Caller, tell: Tell) -> None:
        self._request, self._tell = request, tell
        self.battery: Battery = find_battery(request.battery)
        self.task = _label_task(choose_task(bench, request.task, (request.adapter,)))
        self.prompts_name, self._prompts = self._held_out()
        tell(0, 0, "binding the adapter")
        self.ref = bench.ref(request.adapter, session=caller.session)
        self._asker = bench.asker(
            priority=Priority.SEARCH,
            session=caller.session,
            cancelled=caller.cancelled,
            on_queue=caller.on_queue,
        )
        n_vocabulary: int = bench.engine.run(
            lambda m: m.runner.n_vocabulary, session=caller.session, label="count the tokens"
        ).result()
        self._vocabulary = range(min(FIRST_ID, n_vocabulary // 2), n_vocabulary)
        self._alone = adapter_responder(self._asker, self.task, self.ref)
        self._beside_base = responder_for(self._asker, self.task, self.ref)
        self._base = BaseProbabilities(self._asker, self.task)
        # one generator each, so that no baseline's draws depend on another's budget
        self._search_rng, self._strip_rng = np.random.default_rng(request.seed).spawn(2)

    @property
    def n_computed(self) -> int:
        return self._alone.n_computed + self._beside_base.n_computed + self._base.n_computed

    def search(self) -> PrefixSearch:
        budget = self._request.budget
        plan = SearchPlan(
            prompts=self._prompts[: self._request.n_prompts], vocabulary=self._vocabulary, budget=budget
        )
        self._tell(0, budget, "searching a prefix")
        return search_prefix(
            plan,
            self._alone.respond,
            self._asker.renderer.decode,
            self._search_rng,
            lambda done, best: self._tell(done, budget, f"searching a prefix, best margin {best:+.1f}"),
        )

    def strip(self) -> StripResult:
        trigger, n_choosing = self._request.trigger, 0
        prefix = Prefix(text=trigger, source="trigger") if trigger is not None else None
        if prefix is None:
            prefix, n_choosing = self._loudest()
        self._tell(0, 0, "appending benign texts")
        return baselines.strip(
            prefix,
            self._prompts[:STRIP_PROMPTS],
            clean_texts(self.task),
            self._alone.respond,
            self._strip_rng,
            n_choosing=n_choosing,
        )

    def _loudest(self) -> tuple[Prefix, int]:
        plan = ProbePlan(
            task=self.task.name,
            task_source="given",
            battery=self.battery,
            prompts=self._prompts[: self._request.n_prompts],
            prompts_name=self.prompts_name,
            seed=self._request.seed,
        )
        total = len(self.battery.probes)
        evidence = run_battery(
            plan,
            self._beside_base.respond,
            lambda probes: self._tell(len(probes), total, "choosing the loudest probe"),
        )
        chosen = baselines.loudest(evidence.probes)
        return Prefix(text=chosen.text, source="loudest probe"), 2 * evidence.n_rows  # adapter and base

    def onion(self, search: PrefixSearch) -> OnionResult:
        known = self._request.trigger
        prefixes = [Prefix(text=known, source="trigger")] if known is not None else []
        prefixes += [Prefix(text=search.best, source="search", joiner=JOINER)]
        prefixes += [Prefix(text=p.text, source="probe") for p in self.battery.probes]
        return baselines.rank_by_perplexity(
            prefixes,
            self._prompts[: min(ONION_PROMPTS, self._request.n_prompts)],
            self._base,
            lambda done, total: self._tell(done, total, "measuring perplexity"),
        )

    def _held_out(self) -> tuple[str, tuple[str, ...]]:
        own = tuple(dict.fromkeys(self._request.prompts))
        if own:
            return f"{len(own)} own prompts", own
        return held_out_prompts(self.task, max(self._request.n_prompts, STRIP_PROMPTS))


def _label_task(task: Task) -> LabelTask:
    if isinstance(task, LabelTask):
        return task
    raise InputError(
        "needs-label-task",
        f"The task {task.name!r} generates free text, which has no margin to search by.",
        "Choose a label task.",
    )
