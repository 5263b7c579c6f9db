"""Every error lorabench raises on purpose: what happened, to what, and what to do next.

A `LorabenchError` is bad input or a missing part, never a bug: the command line prints its
sentence and exits with 2, a page shows it and goes on. Subclasses exist where a caller may
want to tell one from another; `rule` names the exact check that failed.
"""

from __future__ import annotations


class LorabenchError(Exception):
    """Root of all expected errors.

    Attributes:
        rule: Stable kebab-case name of the check that failed, for logs and tests.
        problem: What happened, and to what; a full sentence.
        remedy: What to do next; a full sentence.
    """

    def __init__(self, rule: str, problem: str, remedy: str) -> None:
        super().__init__(rule, problem, remedy)  # the same args keep it picklable
        self.rule = rule
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".strip()


class InputError(LorabenchError):
    """A prompt, trigger, file or option that cannot be used as given."""


class TaskError(LorabenchError):
    """A task whose labels, prompt or payload cannot give an answer."""


class AdapterRefusedError(LorabenchError):
    """An adapter on disk, in an archive or on a hub that must not be loaded."""


class BindingError(LorabenchError):
    """A readable adapter that does not fit, or does not act on, the loaded base model."""


class BaseModelError(LorabenchError):
    """A base model that is missing, incomplete, changed, or cannot be fetched."""


class StorageError(LorabenchError):
    """The disk, the score store or a folder of user data cannot be used."""


class TrainingError(LorabenchError):
    """A training that cannot start, or that diverged."""


class ServerError(LorabenchError):
    """The dashboard cannot start or may not do this for a guest."""


class JobError(LorabenchError):
    """A job that does not exist, failed, or ran out of time."""


class CancelledError(LorabenchError):
    """The work was cancelled by its owner; what was finished is kept."""

    def __init__(
        self,
        rule: str = "cancelled",
        problem: str = "The work was cancelled.",
        remedy: str = "Run it again: finished rows are kept and not computed twice.",
    ) -> None:
        super().__init__(rule, problem, remedy)


def unknown_name(kind: str, name: str, known: list[str] | tuple[str, ...]) -> InputError:
    """Return the error for a name that is not in a list, the nearest known ones first.

    Args:
        kind: What the name stands for, such as "adapter".
        name: What the user gave.
        known: All valid names.
    """
    import difflib

    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4)
    ordered = near + [k for k in known if k not in near]
    listing = ", ".join(repr(k) for k in ordered[:12]) or "none is installed"
    return InputError("unknown-name", f"There is no {kind} called {name!r}.", f"Known: {listing}.")
