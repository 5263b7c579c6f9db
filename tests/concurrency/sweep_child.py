"""A process of its own that sweeps with a store and says how far it is: something to be killed.

    python sweep_child.py BASE STORE N

Prints after every forward pass how many rows have their answers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from crowd import TOKEN_BUDGET, open_tiny, prompt

from lorabench.engine import Engine, Priority, Progress, ScoreStore


def main(base: Path, store: Path, n: int) -> None:
    """Sweep."""

    def say(progress: Progress) -> None:
        sys.stdout.write(f"{progress.done}\n")
        sys.stdout.flush()

    engine = Engine(lambda: open_tiny(base), store=ScoreStore(store), token_budget=TOKEN_BUDGET)
    rows = [prompt(k) for k in range(n)]
    engine.score(rows, priority=Priority.HEATMAP, label="sweep", on_progress=say).result()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
