"""`--executor`, `--workers`, `--ray-address`: who computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lorabench.config import Config
    from lorabench.engine.executors import ExecutorChoice

Executor = Annotated[
    str | None, typer.Option("--executor", help="Who computes: thread (this process), process or ray.")
]
Workers = Annotated[int | None, typer.Option(help="Workers of --executor process or ray; by default 2.")]
RayAddress = Annotated[
    str, typer.Option("--ray-address", help="auto, host:port, or local (a cluster of its own).")
]


def chosen_executor(
    kind: str | None, workers: int | None, ray_address: str, config: Config
) -> ExecutorChoice | None:
    """Return the executor that was asked for, or None.

    Raises:
        InputError: For an unknown kind or a number out of range.
    """
    from lorabench.engine.executors import ExecutorChoice

    if kind is None:
        return None
    uses_gpu = config.device not in ("cpu", "mps")
    return ExecutorChoice(kind=kind, workers=workers, ray_address=ray_address, uses_gpu=uses_gpu)
