"""How a check says what is wrong: at once, by raising, or gathered with everything else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lorabench.errors import AdapterRefusedError

OnProblem = Callable[[AdapterRefusedError, str], None]
"""Takes a problem and the file, field, tensor or module it is about (untrusted text)."""


def raised(error: AdapterRefusedError, where: str = "") -> None:
    """Raise the problem: whoever binds an adapter needs the first one only.

    Raises:
        AdapterRefusedError: Always.
    """
    raise error


@contextmanager
def reported(on_problem: OnProblem, where: str) -> Iterator[None]:
    """Hand a refusal raised in the block to `on_problem`; what comes after the block then goes on."""
    try:
        yield
    except AdapterRefusedError as error:
        on_problem(error, where)
