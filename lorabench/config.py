"""Settings, built once at the edge and passed in: where user data lives and how much is allowed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from lorabench.errors import StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on hostile or careless input; see the module of each check for why.

    Attributes:
        prompt_chars: Longest prompt or trigger that is accepted, in characters.
        adapter_bytes: Largest adapter weight file, in bytes.
        upload_bytes: Largest browser upload, in bytes.
        rank: Largest LoRA rank.
        heatmap_rows: Most rows (prompts x variants x models) of one heatmap.
        guest_heatmap_rows: The same for a guest of `lorabench ui --lan`.
    """

    prompt_chars: int = 20_000
    adapter_bytes: int = 4 * 1024**3
    upload_bytes: int = 256 * 1024**2
    rank: int = 512
    heatmap_rows: int = 100_000
    guest_heatmap_rows: int = 3_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Where things are and how models run.

    Attributes:
        data_dir: Prompts, jobs and score store, which `data wipe` removes, and added adapters and the
            case book, which it keeps unless asked.
        cache_dir: Base models: large, and fetched again when missing.
        device: "auto", "cpu", "cuda" or "mps".
        dtype: "fp32" (evidence mode) or "bf16" (fast mode, GPU).
        token_budget: Most tokens in one forward pass; None lets the device decide.
        threads: CPU threads for the model; None leaves torch's choice.
        limits: Bounds on input.
        cases_url: URL of the case book if it is not the file in `data_dir`; may hold a password, so it
            is never shown.
    """

    data_dir: Path
    cache_dir: Path
    device: str = "auto"
    dtype: str = "fp32"
    token_budget: int | None = None
    threads: int | None = None
    limits: Limits = field(default_factory=Limits)
    cases_url: str | None = field(default=None, repr=False)

    @property
    def bases_dir(self) -> Path:
        """Folder with one sub-folder per fetched base model."""
        return self.cache_dir / "bases"

    @property
    def adapters_dir(self) -> Path:
        """Folder with one sub-folder per adapter that the user added."""
        return self.data_dir / "adapters"

    @property
    def profiles_dir(self) -> Path:
        """Calibration profiles that the user made."""
        return self.data_dir / "profiles"

    @property
    def intake_dir(self) -> Path:
        """Archives and hub repositories taken in to be scanned; never loaded from here unscanned."""
        return self.data_dir / "intake"

    @property
    def store_path(self) -> Path:
        """The SQLite score store."""
        return self.data_dir / "scores.sqlite"

    @property
    def jobs_path(self) -> Path:
        """The SQLite job list."""
        return self.data_dir / "jobs.sqlite"

    @property
    def cases_path(self) -> Path:
        """The SQLite case book, where `cases_url` names no other."""
        return self.data_dir / "cases.sqlite"

    @classmethod
    def from_environment(cls, **overrides: object) -> Config:
        """Build the settings from `LORABENCH_*` variables and the platform's user folders.

        `LORABENCH_DATA_DIR`, `LORABENCH_CACHE_DIR`, `LORABENCH_DEVICE`, `LORABENCH_DTYPE`,
        `LORABENCH_TOKEN_BUDGET`, `LORABENCH_THREADS`, `LORABENCH_CASES_URL`. Nothing is created on disk here.
        """
        env = os.environ
        values: dict[str, object] = {
            "data_dir": Path(env.get("LORABENCH_DATA_DIR") or platformdirs.user_data_dir("lorabench", False)),
            "cache_dir": Path(
                env.get("LORABENCH_CACHE_DIR") or platformdirs.user_cache_dir("lorabench", False)
            ),
            "device": env.get("LORABENCH_DEVICE") or "auto",
            "dtype": env.get("LORABENCH_DTYPE") or "fp32",
            "cases_url": env.get("LORABENCH_CASES_URL") or None,
        }
        if budget := env.get("LORABENCH_TOKEN_BUDGET"):
            values["token_budget"] = _positive_int("LORABENCH_TOKEN_BUDGET", budget)
        if threads := env.get("LORABENCH_THREADS"):
            values["threads"] = _positive_int("LORABENCH_THREADS", threads)
        values.update({k: v for k, v in overrides.items() if v is not None})
        return cls(**values)  # type: ignore[arg-type]


def _positive_int(name: str, text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise StorageError(
        "bad-setting", f"{name} is {text!r}.", "Set it to a whole number above 0, or unset it."
    )


def app_root() -> Path:
    """Return the folder that holds `app.py`, `pages/` and `assets/`.

    In a source checkout that is the repository; in an installed wheel the same files are
    package data (see `force-include` in pyproject.toml).
    """
    package = Path(__file__).resolve().parent
    packaged = package / "_app"
    return packaged if (packaged / "app.py").is_file() else package.parent
