from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from base_fakes import FILES, FakeWheel, build_wheel, digest

from lorabench.config import Config
from lorabench.models import installed, registry
from lorabench.models.registry import BaseSpec, WheelMember


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")


@pytest.fixture
def make_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeWheel]:
    """Register the base "fake" and return its spec and wheel; `contents` replaces what is in the wheel."""

    def make(contents: dict[str, bytes] = FILES, **changes: object) -> FakeWheel:
        path = tmp_path / "fake-1.0-py3-none-any.whl"
        build_wheel(path, contents)
        spec = BaseSpec(
            base_id="fake",
            title="Fake base",
            kind="wheel",
            role="encoder",
            licence="MIT",
            n_bytes=path.stat().st_size,
            chat_template="none",
            architectures=("bert",),
            package="fake",
            version="1.0",
            filename=path.name,
            sha256=digest(path.read_bytes()),
            members=tuple(
                WheelMember(path=f"fake/{name}", target=name, n_bytes=len(data), sha256=digest(data))
                for name, data in FILES.items()
            ),
        )
        spec = replace(spec, **changes)  # type: ignore[arg-type]
        bases = MappingProxyType({**registry.BASES, "fake": spec})
        monkeypatch.setattr(registry, "BASES", bases)
        monkeypatch.setattr(installed, "BASES", bases)
        return FakeWheel(spec, path)

    return make
