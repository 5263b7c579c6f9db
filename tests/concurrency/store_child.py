"""A process of its own that writes a part of the answers to a store and reads the others' meanwhile.

    python store_child.py STORE PART OF N

Says "ready", waits for a line, and at the end says how many answers of other parts it
has read, and how many answers it read were wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

from lorabench.engine import ScoreStore
from lorabench.models.rows import RowLogits

BATCH = 5


def key(number: int) -> bytes:
    """Return the name of answer `number`."""
    return number.to_bytes(32, "big")


def answer(number: int) -> RowLogits:
    """Return answer `number`: arithmetic, so that everybody knows it."""
    return RowLogits(label_logits=(number / 7, -number / 3), logsumexp=number / 11)


def main(path: str, part: int, of: int, n: int) -> None:
    """Write every `of`-th of n answers, a few at a time, and look at all of them in between."""
    store = ScoreStore(Path(path))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    own = [k for k in range(n) if k % of == part]
    seen, wrong = set(), 0
    for start in range(0, len(own), BATCH):
        store.put_many({key(k): answer(k) for k in own[start : start + BATCH]})
        for name, found in store.get_many(map(key, range(n))).items():
            number = int.from_bytes(name, "big")
            wrong += found != answer(number)
            if number % of != part:
                seen.add(number)
    assert store.message is None, store.message
    store.close()
    sys.stdout.write(f"{len(seen)} {wrong}\n")


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
