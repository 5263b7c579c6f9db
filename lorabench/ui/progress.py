"""Waiting without freezing: workflow calls on threads of their own, watched by the page.

    if st.button("Run"):
        b = ui.bench()
        ui.begin("playground.score", "Scoring", lambda work: workflows.score(b, request, work.caller))
    work = ui.current("playground.score")
    if work is None:
        ...empty state...
    elif ui.wait(work, key="playground.score"):   # progress, rate, time left, Cancel
        with ui.shown_errors():
            draw(work.result())

A work's thread never calls Streamlit. It outlives reruns and page switches, not the tab; what
must outlive the tab is a job (`job_panel`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import streamlit as st

from lorabench.engine import Job
from lorabench.errors import LorabenchError, ServerError
from lorabench.ui.bench import base_state, bench, session_id
from lorabench.ui.errors import show_error, shown_errors
from lorabench.ui.guard import cancel_job, check_guest_jobs, is_guest, may_cancel, visible_job
from lorabench.ui.state import session
from lorabench.ui.text import duration, escape_markdown

if TYPE_CHECKING:
    from lorabench.workflows.scoring import Caller

T = TypeVar("T")

POLL_SECONDS = 1.5
_MAX_GUEST_WORKS = 3
_SETTLED_SHARE, _SETTLED_SECONDS = 0.05, 60.0
_TURN_SECONDS = 0.15
_BAR_SECONDS = 0.6

log = logging.getLogger(__name__)


class Work(Generic[T]):
    """One workflow call on a thread of its own.

    Attributes:
        label: What it does, for people.
        tag: Whatever the page wants to remember with it, such as the request.
        partial: What `keep` was last given: a result as far as it is.
        n_kept: How often `keep` was called.
    """

    def __init__(self, label: str, call: Callable[[Work[T]], T], *, owner: str, tag: Any = None) -> None:
        self.label = label
        self.tag = tag
        self.partial: Any = None
        self.n_kept = 0
        self._owner = owner
        self._call = call
        self._stop = threading.Event()
        self._finished = threading.Event()
        self._result: T | None = None
        self._error: Exception | None = None
        self._began = time.monotonic()
        self._counted_from = (self._began, 0)
        self._progress: tuple[int, int] | None = None
        self._seconds: float | None = None
        self._place = 0
        threading.Thread(target=self._run, name=f"lorabench-work-{label}", daemon=True).start()

    @property
    def caller(self) -> Caller:
        """Who asks, for a workflow function: session, cancel, progress."""
        from lorabench.workflows.scoring import Caller

        return Caller(
            session=self._owner,
            cancelled=self._stop.is_set,
            on_progress=self.report,
            on_queue=self.set_place,
        )

    @property
    def finished(self) -> bool:
        """Whether there is a result or an error."""
        return self._finished.is_set()

    @property
    def cancelled(self) -> bool:
        """Whether it was asked to stop; for calls that take no caller."""
        return self._stop.is_set()

    @property
    def error(self) -> Exception | None:
        """Why it failed; None while it runs or when it succeeded."""
        return self._error

    @property
    def progress(self) -> tuple[int, int] | None:
        """(done, total) of the step that runs, or None before the first report."""
        return self._progress

    @property
    def place(self) -> int:
        """How many requests have a step before the next one of this work; 0: it is served now."""
        return self._place

    def set_place(self, n: int) -> None:
        """Say its place in the queue; called on the work's own thread."""
        self._place = n

    @property
    def seconds(self) -> float:
        """How long it has run, or took."""
        return self._seconds if self._seconds is not None else time.monotonic() - self._began

    @property
    def rate(self) -> float | None:
        """Units per second of the step that runs, or None."""
        if self._progress is None:
            return None
        since, start = self._counted_from
        units, seconds = self._progress[0] - start, time.monotonic() - since
        return units / seconds if units > 0 and seconds > 0.2 else None

    @property
    def eta_seconds(self) -> float | None:
        """Seconds left of the step that runs, or None."""
        if self._progress is None or not self.rate:
            return None
        return max(self._progress[1] - self._progress[0], 0) / self.rate

    def report(self, done: int, total: int) -> None:
        """Say how far it is; called on the work's own or the engine's thread."""
        if self._progress is None or self._progress[1] != total or done < self._progress[0]:
            self._counted_from = (time.monotonic(), done)
        self._progress = (done, total)

    def keep(self, partial: Any) -> None:
        """Keep a partial result for the page to draw while the rest is under way."""
        self.partial, self.n_kept = partial, self.n_kept + 1

    def cancel(self) -> None:
        """Ask it to stop; what was computed is remembered."""
        self._stop.set()

    def done_within(self, seconds: float) -> bool:
        """Wait a little; return whether it is finished."""
        return self._finished.wait(seconds)

    def result(self) -> T:
        """Return the result of a finished work, or raise what it raised."""
        if not self.finished:
            raise RuntimeError(f"{self.label!r} is not finished")
        if self._error is not None:
            raise self._error
        return cast(T, self._result)

    def _run(self) -> None:
        try:
            self._result = self._call(self)
        except LorabenchError as error:
            self._error = error
        except Exception as error:
            log.exception("%s failed", self.label)
            self._error = error
        finally:
            self._seconds = time.monotonic() - self._began
            self._finished.set()


def begin(key: str, label: str, call: Callable[[Work[T]], T], *, tag: Any = None) -> Work[T]:
    """Start a workflow call and remember it under a key; one under way there is cancelled.

    Args:
        key: `page.name`.
        label: What it does, such as "Scoring 4 texts".
        call: Given the work; hands `work.caller` to the workflow, and partial results to
            `work.keep`. Runs on its own thread: fetch `ui.bench()` before, use no Streamlit inside.
        tag: Whatever to remember with it, such as the request.

    Raises:
        ServerError: If a guest has too much under way.
    """
    works = session().works
    if (old := works.get(key)) is not None:
        old.cancel()
    if is_guest() and sum(not w.finished for k, w in works.items() if k != key) >= _MAX_GUEST_WORKS:
        raise ServerError(
            "too-much-work", "Several of your requests are still running.", "Wait, or cancel one."
        )
    works[key] = work = Work(label, call, owner=session_id(), tag=tag)
    return work


def current(key: str) -> Work[Any] | None:
    """Return the work last begun under a key in this tab, or None."""
    return session().works.get(key)


def forget(key: str) -> None:
    """Cancel and forget the work under a key."""
    if (work := session().works.pop(key, None)) is not None:
        work.cancel()


def has_live_work() -> bool:
    """Return whether this tab waits for something."""
    return any(not w.finished for w in session().works.values())


def redraw_once(work: Work[Any]) -> None:
    """Rerun the page when a finished work is first seen: what stands above was drawn before its result."""
    if work.tag != "shown":
        work.tag = "shown"
        st.rerun()


def wait(
    work: Work[Any],
    *,
    key: str,
    seconds: float = 6.0,
    draw: Callable[[Work[Any]], None] | None = None,
) -> bool:
    """Show progress with Cancel until a work is done.

    Short works are awaited in place; after `seconds` a polling fragment takes over, and a full
    rerun comes when the work ends. A click elsewhere interrupts the wait, never the work.

    Args:
        work: What to wait for.
        key: `page.name`, for the Cancel button.
        seconds: How long to wait in place.
        draw: Draws `work.partial` below the bar; must contain no widgets.

    Returns:
        True when it is finished (nothing of the progress stays on the page), else False: draw
        the rest of the page as usual.
    """
    if work.finished:
        return True
    slot = st.empty()
    with slot.container():
        bar, below = st.empty(), st.empty()
        st.button("Cancel", icon=":material/cancel:", key=f"{key}.cancel", on_click=work.cancel)
    deadline = time.monotonic() + seconds
    drawn, next_bar = -1, 0.0
    while not work.done_within(_TURN_SECONDS):
        if time.monotonic() > deadline:
            bar.empty()
            with bar:
                _poll(work, draw)
            below.empty()
            return False
        if time.monotonic() >= next_bar:  # thirty waiting tabs must not keep the model's thread waiting
            _draw_bar(work, bar)
            next_bar = time.monotonic() + _BAR_SECONDS
        if draw is not None and work.n_kept != drawn:
            drawn = work.n_kept
            with below.container():
                draw(work)
    slot.empty()
    return True


def _poll(work: Work[Any], draw: Callable[[Work[Any]], None] | None) -> None:
    def panel() -> None:
        if work.finished:
            st.rerun()
        with st.container():
            _draw_bar(work, st.empty())
            if draw is not None and work.partial is not None:
                draw(work)

    st.fragment(panel, run_every=POLL_SECONDS)()


def _draw_bar(work: Work[Any], bar: Any) -> None:
    if work.cancelled:
        bar.progress(0.0, text="Cancelling: the step that runs is finished first.")
    elif work.progress is None or not work.progress[1]:
        bar.progress(
            0.0, text=f"{escape_markdown(work.label)}: {_waiting_text(work)} ({duration(work.seconds)})"
        )
    else:
        done, total = work.progress
        text = progress_text(done, total, work.rate, work.eta_seconds)
        if work.place:
            text += f" · {work.place} served before the next step"
        bar.progress(min(done / total, 1.0), text=f"{escape_markdown(work.label)}: {text}")


def _waiting_text(work: Work[Any]) -> str:
    found = base_state()
    if found.state == "loading":
        return "waiting for the base model to load"
    return f"in the queue, {work.place} before you" if work.place else "working"


def progress_text(done: int, total: int, rate: float | None, eta: float | None, unit: str = "") -> str:
    """Return "120 of 2,304 rows . 41 per second . 53 s left", as far as known, as Markdown."""
    parts = [f"{done:,} of {total:,} {unit}".rstrip()]
    if rate:
        parts.append(f"{rate:,.0f} per second" if rate >= 10 else f"{rate:.1f} per second")
    if eta is not None and done < total:
        parts.append(f"{duration(eta)} left")
    return " · ".join(parts)


def job_panel(
    job_id: str, *, key: str, draw: Callable[[Job], None] | None = None, unit: str = ""
) -> Job | None:
    """Show a job: progress, rate, time left and Cancel while it runs, its error when it failed.

    While it is active the bar polls in a fragment, and a full rerun comes when it ends.

    Args:
        job_id: The job; a guest sees only its own and those it attached to.
        key: `page.name`, for the buttons.
        draw: Draws what is known so far below the bar while it runs; must contain no widgets.
        unit: What is counted, such as "tokens".

    Returns:
        The job as it stands (its `status` says whether a result is there), or None if there is
        no such job; that was shown.
    """
    try:
        job = visible_job(job_id)
    except LorabenchError as error:
        show_error(error)
        return None
    if job.is_active:
        st.fragment(lambda: _job_bar(job_id, draw, unit), run_every=POLL_SECONDS)()
        if may_cancel(job):
            st.button(
                "Cancel", icon=":material/cancel:", key=f"{key}.cancel", on_click=cancel_job, args=(job_id,)
            )
        else:
            st.caption("Someone else asked for the same; you see their run.")
    elif job.status in ("failed", "interrupted", "cancelled"):
        _ended_badly(job, key)
    return job


def _job_bar(job_id: str, draw: Callable[[Job], None] | None, unit: str) -> None:
    job = bench().jobs.get(job_id)
    if not job.is_active:
        st.rerun()
    if job.status == "queued":
        ahead = sum(j.is_active and j.created < job.created for j in bench().jobs.list())
        st.progress(0.0, text=f"In the queue, {ahead} ahead of you")
    else:
        eta = job.eta_seconds if _is_settled(job) else None
        text = progress_text(job.progress_done, job.progress_total, job.rate, eta, unit)
        message = escape_markdown(job.message or "starting")
        st.progress(job.fraction or 0.0, text=f"{message}: {text}" if job.progress_total else message)
    if draw is not None:
        draw(job)


def _is_settled(job: Job) -> bool:
    """Return whether the mean rate tells the time left: at first it is mostly that of loading."""
    return (job.fraction or 0.0) >= _SETTLED_SHARE or (job.seconds or 0.0) >= _SETTLED_SECONDS


def _ended_badly(job: Job, key: str) -> None:
    sentences = {
        "failed": job.error or "The job failed.",
        "interrupted": "The job was interrupted: the program that ran it ended.",
        "cancelled": "The job was cancelled. What was finished is kept.",
    }
    show = st.error if job.status == "failed" else st.info
    show(escape_markdown(sentences[job.status]))
    if may_cancel(job):
        st.button("Go on", key=f"{key}.resume", on_click=_resume, args=(job.id,))


def _resume(job_id: str) -> None:
    with shown_errors():
        check_guest_jobs()
        bench().jobs.resume(job_id)
