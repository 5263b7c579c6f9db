"""The workbench: one base model behind the engine, the adapters bound to it, the job list."""

from __future__ import annotations

import threading
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lorabench.adapters import CheckedAdapter, find_adapter, read_adapter
from lorabench.config import Config
from lorabench.engine import Engine, EngineStatus, JobManager, Priority, ScoreStore
from lorabench.errors import BaseModelError, BindingError, LorabenchError, StorageError
from lorabench.models import fetch
from lorabench.models.rendering import Renderer, token_counter
from lorabench.results import BASE, BindingProof, GenerationTask, InstalledAdapter, LabelTask, Task, from_dict
from lorabench.results.checks import SelfCheck
from lorabench.scoring.provenance import provenance
from lorabench.scoring.score import BASE_REF, Asker, ModelRef
from lorabench.workflows.fast_mode import fast_mode_note


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundAdapter:
    """An adapter in use: what is on disk, its id, and the proof that it acts.

    Attributes:
        installed: What is on disk.
        ref: Name and id for scoring.
        proof: Binding and base-purity proof.
    """

    installed: InstalledAdapter
    ref: ModelRef
    proof: BindingProof


class Workbench:
    """Everything a page, a command or a notebook needs; build one per process and base.

    Nothing is loaded before it is needed: listing adapters never waits for torch.
    """

    def __init__(self, config: Config | None = None, *, base: str = "demo") -> None:
        self.config = config or Config.from_environment()
        self.base = base
        self._lock = threading.Lock()
        self._engine: Engine[Any] | None = None
        self._closed = False
        self._store: ScoreStore | None = None
        self._jobs: JobManager | None = None
        self._proofs: dict[str, BindingProof] = {}
        self._sharing: dict[bool, tuple[SelfCheck, ...]] = {}
        self._facts: tuple[Renderer, int, str] | None = None
        self._length: Callable[[str], int] | None = None

    # -- parts, made on first use ----------------------------------------------------------

    @property
    def engine(self) -> Engine[Any]:
        """The owner of the model; its thread loads the base when this is first asked for."""
        with self._lock:
            self._refuse_if_closed()
            if self._engine is None:
                fetch.resolve(self.base, self.config)  # a missing base is said here, not in the thread
                _make_folder(self.config.data_dir)
                self._store = ScoreStore(self.config.store_path)
                self._engine = Engine(self._open, store=self._store, token_budget=self.config.token_budget)
            return self._engine

    @property
    def jobs(self) -> JobManager:
        """The job list shared by pages, command line and notebooks."""
        from lorabench.workflows.jobs import runners

        with self._lock:
            self._refuse_if_closed()
            if self._jobs is None:
                _make_folder(self.config.data_dir)
                self._jobs = JobManager(self.config.jobs_path, runners(self))
            return self._jobs

    def _refuse_if_closed(self) -> None:
        if self._closed:  # else a thread that comes late would load the base once more
            raise BaseModelError("workbench-closed", "The workbench is closed.", "Open a new one.")

    def _open(self) -> Any:
        from lorabench.models.language_model import LanguageModel

        folder = fetch.resolve(self.base, self.config)
        return LanguageModel(
            folder,
            name=self.base,
            fingerprint=fetch.base_fingerprint(self.base, self.config),
            device=self.config.device,
            dtype=self.config.dtype,
            threads=self.config.threads,
            checks=self._store.checks if self._store is not None else None,
            on_unbind=lambda adapter_id: self._proofs.pop(adapter_id, None),
        )

    def status(self) -> EngineStatus | None:
        """Return the engine's state, or None before anything was asked."""
        return self._engine.status() if self._engine is not None else None

    def close(self) -> None:
        """Stop the owner thread and close the job list."""
        with self._lock:
            self._closed = True
            if self._engine is not None:
                self._engine.close()
            if self._jobs is not None:
                self._jobs.close()
            self._engine = self._jobs = self._facts = None

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- the model's door --------------------------------------------------------------------

    def asker(self, **overrides: Any) -> Asker:
        """Return the queue identity for scoring; keyword arguments override its fields."""
        if self._facts is None:
            self._facts = self.engine.run(
                lambda m: (m.renderer, m.context_length, m.fingerprint), label="read the tokenizer"
            ).result()
        renderer, context_length, _ = self._facts
        fields = {"engine": self.engine, "renderer": renderer, "context_length": context_length}
        return Asker(**{**fields, **overrides})

    def length(self) -> Callable[[str], int]:
        """Return how long a text is: in tokens of the base, or in characters while it is not installed."""
        with self._lock:
            if self._length is None:
                try:
                    self._length = token_counter(fetch.resolve(self.base, self.config))
                except BaseModelError:
                    return len
            return self._length

    def bind(self, name_or_path: str, *, session: str = "local") -> BoundAdapter:
        """Bind an adapter by name or folder; already bound ones return at once.

        Raises:
            LorabenchError: If it is unknown, refused, or does not fit the base.
        """
        installed = find_adapter(name_or_path, self.config)
        facts = installed.facts  # of the folder as it is now
        proof = self._proofs.get(facts.adapter_id) if facts is not None else None
        if facts is None or proof is None:
            checked: CheckedAdapter = read_adapter(Path(installed.path), self.config.limits)
            facts = checked.facts
            proof = self.engine.run(
                lambda m: m.bind(checked),
                priority=Priority.INTERACTIVE,
                session=session,
                label=f"bind {installed.name}",
            ).result()
            self._proofs[facts.adapter_id] = proof
        claim = facts.claims.base_fingerprint  # of this folder: equal weights may come with another
        proof = replace(proof, base_matches=None if claim is None else claim == proof.base_fingerprint)
        ref = ModelRef(name=installed.name, adapter_id=facts.adapter_id)
        return BoundAdapter(installed=installed, ref=ref, proof=proof)

    def ref(self, name_or_path: str, *, session: str = "local") -> ModelRef:
        """Bind an adapter to be asked; unlike `bind`, one that says it belongs elsewhere is refused.

        Raises:
            LorabenchError: As `bind`; "other-base" if the adapter's own claim names another base.
        """
        bound = self.bind(name_or_path, session=session)
        if bound.proof.base_matches is False:
            claim = bound.installed.facts.claims.base_fingerprint if bound.installed.facts else None
            raise BindingError(
                "other-base",
                f"The adapter {bound.installed.name!r} says it was trained on another base "
                f"(fingerprint {claim!s:.12}, loaded {bound.proof.base_fingerprint:.12}).",
                "Start with the base it was trained on, or take `base_fingerprint` out of its lorabench.json "
                "to try it on this one.",
            )
        return bound.ref

    def bind_all(self, names: tuple[str, ...], *, session: str = "local") -> list[ModelRef]:
        """Return the base and the named adapters, bound, in that order, each once."""
        refs = [BASE_REF]
        for name in names:
            ref = self.ref(name, session=session)
            if ref.name not in {r.name for r in refs}:
                refs.append(ref)
        return refs

    @property
    def checks(self) -> MutableMapping[str, dict[str, Any]]:
        """What is remembered of self-checks, beside the scores."""
        assert self.engine is not None  # which opens the store
        assert self._store is not None
        return self._store.checks

    def sharing(self, adapter_id: str | None = None) -> tuple[SelfCheck, ...]:
        """Return how exact the token trie is here, with adapters too if one that is bound is given."""
        has_adapter = adapter_id is not None
        if has_adapter not in self._sharing:
            self._sharing[has_adapter] = self.engine.run(
                lambda m: m.sharing(adapter_id), label="check the shared forward pass"
            ).result()
        return self._sharing[has_adapter]

    def provenance(self, task: Task | None, refs: list[ModelRef], seed: int) -> dict[str, Any]:
        """Return the provenance of a report made by these models."""
        self.asker()
        assert self._facts is not None
        status = self.engine.status()
        return provenance(
            task=task,
            base=self.base,
            base_fingerprint=self._facts[2],
            adapters={r.name: r.adapter_id for r in refs if r.name != BASE and r.adapter_id},
            device=status.device or "cpu",
            dtype=status.dtype or self.config.dtype,
            seed=seed,
            fast_mode=fast_mode_note(self, task, refs),
            sharing=self.sharing(next((r.adapter_id for r in refs if r.adapter_id), None)),
        )

    def task_of(self, name_or_path: str) -> Task | None:
        """Return the task an adapter of ours carries in its `lorabench.json`, if it does."""
        facts = find_adapter(name_or_path, self.config).facts
        claimed = (facts.claims.lorabench or {}).get("task") if facts else None
        if not isinstance(claimed, dict):
            return None
        try:
            if "labels" in claimed:
                return from_dict(LabelTask, claimed)
            return from_dict(GenerationTask, claimed)
        except (LorabenchError, KeyError, TypeError, ValueError):
            return None  # a claim that makes no task is no task


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            "data-folder",
            f"The data folder {folder} cannot be made ({error.strerror}).",
            "Free some space, or set LORABENCH_DATA_DIR to a folder you can write to.",
        ) from error
