"""transformers, for one thread at a time.

Its lazy import is not safe when two threads begin it together (one finds a class missing), nor is
the loading of weights (a context of one thread leaves the other's tensors without data). Both were
seen when a page rendered questions while the engine opened its base.
"""

from __future__ import annotations

import threading
from typing import Any

LOADING = threading.RLock()
"""Held while transformers is imported or loads a model or a tokenizer."""


def transformers_class(name: str) -> Any:
    """Return a class of transformers, imported by one thread at a time."""
    with LOADING:
        import transformers

        return getattr(transformers, name)
