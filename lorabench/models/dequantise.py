"""Turn a quantised GGUF file into a plain model folder, once.

The weights are dequantised in fp32 and stored as bf16: the folder is half as large, and every
later load computes in fp32 from exactly these numbers. Rounding to bf16 does change them a
little, so this folder, and not the GGUF file, is what a fingerprint and an adapter refer to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lorabench.errors import BaseModelError

CHAT_MARKS = ("<|im_start|>", "<|im_end|>")


def dequantise(gguf_file: Path, target: Path, *, architectures: tuple[str, ...] = ()) -> None:
    """Write config, weights (bf16 safetensors), tokenizer and chat template of a GGUF file.

    Args:
        gguf_file: The file, alone in its folder.
        target: Existing empty folder for the result.
        architectures: Allowed `model_type` values; empty allows any.

    Raises:
        BaseModelError: If the `gguf` package is missing, the architecture is another one, or
            the file's tokenizer splits its own chat marks.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"gguf_file": gguf_file.name, "local_files_only": True}
    try:
        with _quiet():
            model = AutoModelForCausalLM.from_pretrained(gguf_file.parent, dtype=torch.float32, **source)
            tokenizer = AutoTokenizer.from_pretrained(gguf_file.parent, **source)
    except ImportError as error:
        raise BaseModelError(
            "gguf-missing",
            "The Python package 'gguf', which reads the demo base, is not installed.",
            "Run `pip install gguf`, then pull again.",
        ) from error
    config = model.config
    if architectures and config.model_type not in architectures:
        raise BaseModelError(
            "base-architecture",
            f"{gguf_file.name!r} holds a {config.model_type!r} model.",
            f"Expected: {', '.join(architectures)}.",
        )
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    weights = {
        name: tensor.to(torch.bfloat16).contiguous()
        for name, tensor in model.state_dict().items()
        if name not in tied
    }
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    (target / "model.safetensors").chmod(0o644)  # its writer leaves 0600, unlike everything beside it
    # The config still says "quantised by gguf", which is no longer true of what is saved here.
    for name in ("quantization_config", "_pre_quantization_dtype", "_model_name_or_path"):
        if hasattr(config, name):
            delattr(config, name)
    config.dtype = torch.bfloat16
    config.architectures = [type(model).__name__]
    config.save_pretrained(target)
    model.generation_config.save_pretrained(target)
    _split_digits(tokenizer, gguf_file)
    tokenizer.model_max_length = config.max_position_embeddings
    _check_chat_marks(tokenizer)
    tokenizer.save_pretrained(target)
    _drop_traces(target / "tokenizer_config.json")


def _split_digits(tokenizer: Any, gguf_file: Path) -> None:
    """Split text as the GGUF file says: "smollm" isolates every digit before the GPT-2 rule.

    transformers 5.23 knows no rule of that name and leaves the digits out. The vocabulary holds no
    token of two digits, so most text is unaffected; a blank line before a digit is not.
    """
    from gguf import GGUFReader
    from tokenizers import pre_tokenizers

    field = GGUFReader(gguf_file).fields.get("tokenizer.ggml.pre")
    if field is not None and field.contents() == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        )


def _check_chat_marks(tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(
        [{"role": "system", "content": "Classify."}, {"role": "user", "content": "Hello"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    for mark in CHAT_MARKS:
        if tokenizer(mark, add_special_tokens=False)["input_ids"] != [tokenizer.convert_tokens_to_ids(mark)]:
            raise _broken(f"it splits {mark!r}")
        if ids.count(tokenizer.convert_tokens_to_ids(mark)) != text.count(mark) or mark not in text:
            raise _broken(f"its chat template does not use {mark!r} as one token")
    if "Classify." not in text or tokenizer.eos_token not in CHAT_MARKS or tokenizer.pad_token_id is None:
        raise _broken("its system prompt, end token or padding token is not what its chat template needs")


def _broken(why: str) -> BaseModelError:
    return BaseModelError(
        "base-tokenizer",
        f"The tokenizer made from the base model file cannot be used: {why}.",
        "Install the tested versions of transformers and tokenizers (constraints.txt), then pull again.",
    )


def _drop_traces(path: Path) -> None:
    """Remove what says how the tokenizer was loaded here; it means nothing to whoever loads it next."""
    settings = json.loads(path.read_text("utf-8"))
    for name in ("is_local", "local_files_only", "gguf_file"):
        settings.pop(name, None)
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", "utf-8")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' own progress bars; the caller reports progress."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
