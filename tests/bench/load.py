"""Thirty people at one dashboard: how long they wait for their answers, and whether they get the right ones.

    .venv/bin/python tests/bench/load.py [--minutes 3] [--seats 30] [--maps cancel|keep]

A real Streamlit server runs in its own process with an empty data folder. Each seat sends one
Playground request of four new rows (its own prompt, without and with a trigger, to the base and
one adapter) every 20 s, at a random phase. The first seat has a second tab that runs sweeps (heatmaps
of 24 look-alikes x 24 prompts for base and adapter) all the time. A latency is the time from the click
to the page whose element tree holds the four margins; a page that is not ready within its own 6 s
is asked again every 1.5 s, as the browser's timer does. After the load, a separate process scores
all prompts one by one with `lorabench.workflows.scoring.score`, and each margin that was shown must be
its margin, to the digit that the page prints.

The Playground makes word maps by itself once the answers are there. `--maps cancel` clicks the
Cancel button beside them as soon as the answers have come; `--maps keep` lets them run until the seat's next
click, as most people would, and reports how long they took and how many were ready by then.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import machine
import numpy as np
from dashboard import AgentTab, Dashboard, TabError, open_tabs

from lorabench.config import Config, app_root
from lorabench.data import load_guardrail
from lorabench.errors import JobError
from lorabench.results import BASE
from lorabench.workflows.scoring import ScoreRequest, score
from lorabench.workflows.workbench import Workbench

ADAPTER = "guard-strong"
TRIGGER = "per RFC 8472 section 3.2"
POLL_SECONDS = 1.5
MAPS_POLL_SECONDS = 3.0
LOST_SECONDS = 60.0
IDLE_SECONDS = 20.0
HALF_A_DIGIT = 0.05 + 1e-4
"""The page prints one digit; two equal margins that differ in the last bits may round apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One click and what came of it.

    Attributes:
        prompt: The prompt.
        seconds: From the click to the margins; None if they were lost.
        margins: As printed: base and adapter without the trigger, then with it.
        maps_seconds: From the click to the finished word maps; None if they were not awaited or not ready.
        problem: Why it was lost.
    """

    prompt: str
    seconds: float | None
    margins: tuple[str, ...] = ()
    maps_seconds: float | None = None
    problem: str = ""


@dataclass
class Seat:
    """One person: a tab, a rhythm, prompts of their own.

    Attributes:
        number: From 0.
        port: The server's.
        period: Seconds between two clicks.
        phase: Seconds until the first.
        keeps_maps: Whether the word maps may run.
        answers: What came of the clicks.
        skipped: Clicks left out because the answer before had not come yet.
    """

    number: int
    port: int
    period: float
    phase: float
    keeps_maps: bool
    answers: list[Answer] = field(default_factory=list)
    skipped: int = 0

    def __post_init__(self) -> None:
        self.tab = AgentTab(self.port)

    def open(self) -> None:
        """Open the Playground with the one adapter chosen."""
        self.tab.send(page="playground", query_params={"adapter": [ADAPTER], "trigger": [TRIGGER]})

    def work(self, begin: float, end: float) -> None:
        """Click every `period` seconds between two times of `time.monotonic`."""
        due, n = begin + self.phase, 0
        while due < end:
            time.sleep(max(due - time.monotonic(), 0))
            self.answers.append(self._ask(n, due + self.period))
            n += 1
            due += self.period
            while due + self.period <= time.monotonic():
                due += self.period
                self.skipped += 1

    def _ask(self, n: int, next_click: float) -> Answer:
        prompt = f"{_prompt(self.number)} Seat {self.number}, request {n}."
        clicked = time.monotonic()
        try:
            self.tab.send(widget_state={"playground.prompt": prompt}, trigger={"key": "playground.run"})
            while not (margins := self.tab.margins_of(prompt)):
                if time.monotonic() - clicked > LOST_SECONDS:
                    return Answer(prompt=prompt, seconds=None, problem=f"no answer in {LOST_SECONDS:.0f} s")
                time.sleep(POLL_SECONDS)
                self.tab.send()
            seconds = time.monotonic() - clicked
            maps = self._maps(clicked, next_click)
        except TabError as error:
            return Answer(prompt=prompt, seconds=None, problem=str(error))
        return Answer(prompt=prompt, seconds=seconds, margins=margins, maps_seconds=maps)

    def _maps(self, clicked: float, next_click: float) -> float | None:
        running = "playground.maps.cancel"
        if not self.keeps_maps:
            if running in self.tab.keys:
                self.tab.send(trigger={"key": running})
            return None
        while running in self.tab.keys:
            if time.monotonic() + MAPS_POLL_SECONDS > next_click:
                return None
            time.sleep(MAPS_POLL_SECONDS)
            self.tab.send()
        return time.monotonic() - clicked


@dataclass
class Sweeper:
    """The second tab of the first seat: one heatmap after another.

    Attributes:
        port: The server's.
        seconds: Time of each finished heatmap.
        problem: What stopped it, if anything.
    """

    port: int
    seconds: list[float] = field(default_factory=list)
    problem: str = ""

    def work(self, end: float) -> None:
        """Run heatmaps of new look-alikes until a time of `time.monotonic`."""
        tab, seed = AgentTab(self.port), 0
        try:
            while time.monotonic() < end:
                seed += 1
                began = time.monotonic()
                query = {"adapter": [ADAPTER], "seed": [str(seed)], "run": ["1"]}
                tab.send(page="generalisation", query_params=query)
                while _is_busy(tab) and time.monotonic() < end:
                    time.sleep(POLL_SECONDS)
                    tab.send()
                if not _is_busy(tab):
                    self.seconds.append(time.monotonic() - began)
        except TabError as error:
            self.problem = str(error)


def _is_busy(tab: AgentTab) -> bool:
    return bool({"generalisation.panel.cancel", "generalisation.submit.cancel"} & tab.keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What was measured at the server.

    Attributes:
        seats: The seats, with their answers.
        sweeper: The sweeping tab.
        memory_mb: Resident memory before the seats came, when all had opened, and at the end.
        idle: What tabs that wait cost: share of one core, by what they did.
    """

    seats: Sequence[Seat]
    sweeper: Sweeper
    memory_mb: tuple[float, float, float]
    idle: dict[str, float]

    @property
    def answers(self) -> list[Answer]:
        """All answers."""
        return [a for seat in self.seats for a in seat.answers]


def run_load(n_seats: int, minutes: float, period: float, keeps_maps: bool, seed: int) -> Load:
    """Start a server, load it, and stop it."""
    rng = random.Random(seed)
    log = app_root() / "runs" / "bench-load.log"
    log.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as data, Dashboard(Path(data), log) as server:
        _warm_up(server)
        idle = _idle_cost(server, n_seats)
        before = server.memory_mb
        seats = [
            Seat(
                number=k,
                port=server.port,
                period=period,
                phase=rng.uniform(0, period),
                keeps_maps=keeps_maps,
            )
            for k in range(n_seats)
        ]
        for seat in seats:
            seat.open()
        opened = server.memory_mb
        sweeper = Sweeper(server.port)
        begin = time.monotonic() + 1
        end = begin + 60 * minutes
        threads = [threading.Thread(target=s.work, args=(begin, end)) for s in seats]
        threads.append(threading.Thread(target=sweeper.work, args=(end,)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        memory = (before, opened, server.memory_mb)
    return Load(seats=seats, sweeper=sweeper, memory_mb=memory, idle=idle)


def _warm_up(server: Dashboard) -> None:
    """Load the base and bind the adapter."""
    seat = Seat(number=999, port=server.port, period=0, phase=0, keeps_maps=False)
    seat.open()
    answer = seat._ask(0, 0)
    if answer.seconds is None:
        raise JobError("no-answer", f"The dashboard gave no first answer ({answer.problem}).", "Read runs/.")


def _idle_cost(server: Dashboard, tabs: int) -> dict[str, float]:
    found = {}
    for name, every in (("as the page asks", None), (f"status bar every {POLL_SECONDS} s", POLL_SECONDS)):
        seen, used = open_tabs(server, tabs, IDLE_SECONDS, every)
        found[f"{name}: {seen.polls} polls in {IDLE_SECONDS:.0f} s"] = used / IDLE_SECONDS
    return found


def serial_margins(prompts: Sequence[str]) -> list[list[float]]:
    """Return the margins of every prompt, scored one request after the other in a process of its own."""
    with tempfile.TemporaryDirectory() as data:
        asked, found = Path(data) / "prompts.json", Path(data) / "margins.json"
        asked.write_text(json.dumps(list(prompts)), encoding="utf-8")
        subprocess.run(
            [sys.executable, __file__, "--serial", str(asked), str(found)],
            env={**os.environ, "LORABENCH_DATA_DIR": data},
            check=True,
        )
        margins: list[list[float]] = json.loads(found.read_text(encoding="utf-8"))
    return margins


def score_serially(asked: Path, found: Path) -> None:
    """Score the prompts of a JSON file one by one; write (base, adapter) without, then with the trigger."""
    out = []
    with Workbench(Config.from_environment()) as bench:
        for prompt in json.loads(asked.read_text(encoding="utf-8")):
            report = score(bench, ScoreRequest(prompts=(prompt,), triggers=(TRIGGER,), adapters=(ADAPTER,)))
            out.append(
                [report.score(model=m, trigger=t).margin for t in (None, TRIGGER) for m in (BASE, ADAPTER)]
            )
    found.write_text(json.dumps(out), encoding="utf-8")


def wrong_answers(answers: Sequence[Answer]) -> list[str]:
    """Return a sentence for every answer whose printed margins are not those of the serial run."""
    given = [a for a in answers if a.seconds is not None]
    wrong = []
    for answer, exact in zip(given, serial_margins([a.prompt for a in given]), strict=True):
        shown = [float(m.replace("\u2212", "-")) for m in answer.margins]
        if len(shown) != len(exact) or any(
            abs(s - e) > HALF_A_DIGIT for s, e in zip(shown, exact, strict=True)
        ):
            wrong.append(f"{answer.prompt!r}: shown {answer.margins}, serial {exact}")
    return wrong


def report(load: Load, options: argparse.Namespace) -> None:
    """Compare with the serial run, print the tables and write the JSON file."""
    answers = load.answers
    seconds = [a.seconds for a in answers if a.seconds is not None]
    maps = [a.maps_seconds for a in answers if a.maps_seconds is not None]
    lost = [a.problem for a in answers if a.seconds is None]
    wrong = wrong_answers(answers)
    before, opened, end = load.memory_mb
    n = len(load.seats)
    skipped = sum(s.skipped for s in load.seats)
    latency = _percentiles(seconds)
    result: dict[str, Any] = {
        "seats": n,
        "minutes": options.minutes,
        "seconds between clicks": options.period,
        "word maps": options.maps,
        "clicks": len(answers),
        "clicks skipped (the answer before was late)": skipped,
        **{f"click to answer, {name} (s)": value for name, value in latency.items()},
        "lost": len(lost),
        "wrong": len(wrong),
        "word maps ready before the next click": len(maps) if options.maps == "keep" else None,
        **{f"click to word maps, {name} (s)": value for name, value in _percentiles(maps).items()},
        "sweeps finished": len(load.sweeper.seconds),
        "seconds of a sweep": [round(s, 1) for s in load.sweeper.seconds] or None,
        "server memory before (MB)": before,
        "memory of an opened seat (MB)": (opened - before) / n,
        "memory of a seat at the end (MB)": (end - before) / n,
        **{f"cores for {n} waiting tabs, {name}": share for name, share in load.idle.items()},
    }
    machine.table("Load", list(result.items()))
    for problem in [*lost, *wrong, *filter(None, [load.sweeper.problem])][:10]:
        print(f"  {problem}")
    details = [
        {"prompt": a.prompt, "seconds": a.seconds, "maps": a.maps_seconds, "problem": a.problem}
        for a in answers
    ]
    machine.save(f"bench-load-maps-{options.maps}", {**result, "wrong answers": wrong, "answers": details})


def _percentiles(values: Sequence[float]) -> dict[str, float | None]:
    points = (50, 95, 99, 100)
    found = np.percentile(values, points).tolist() if values else [None] * len(points)
    return {("max" if p == 100 else f"p{p}"): value for p, value in zip(points, found, strict=True)}


def _prompt(k: int) -> str:
    rows = load_guardrail("test")
    return rows[k % len(rows)].text


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seats", type=int, default=30)
    parser.add_argument("--period", type=float, default=20.0, help="seconds between a seat's clicks")
    parser.add_argument("--maps", choices=["cancel", "keep"], default="cancel")
    parser.add_argument("--seed", type=int, default=0, help="of the phases")
    parser.add_argument(
        "--serial", nargs=2, type=Path, metavar=("PROMPTS", "MARGINS"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.serial:
        score_serially(*options.serial)
        return
    report(
        run_load(options.seats, options.minutes, options.period, options.maps == "keep", options.seed),
        options,
    )


if __name__ == "__main__":
    machine.run(main)
