"""A tiny GGUF file becomes a model folder; and what the real demo base must be."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from lorabench.config import Config
from lorabench.errors import BaseModelError
from lorabench.models import fetch
from lorabench.models.dequantise import dequantise
from lorabench.models.fingerprint import fingerprint_folder
from lorabench.models.registry import BASES

TEMPLATE = (
    "{% for m in messages %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
HIDDEN, WIDE, BLOCKS = 32, 64, 2


def byte_letters() -> list[str]:
    """The 256 printable stand-ins for bytes of a byte-level vocabulary, in byte order."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return [letter for _, letter in sorted(bytes_to_unicode().items())]


def write_gguf(path: Path, *, template: str = TEMPLATE, eos: int = 2) -> Path:
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *byte_letters(), "ĊĊ"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(BLOCKS)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(HIDDEN // 2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(
        [int(gguf.TokenType.CONTROL)] * 3 + [int(gguf.TokenType.NORMAL)] * (len(tokens) - 3)
    )
    writer.add_token_merges(["Ċ Ċ"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(eos)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_chat_template(template)
    random = np.random.default_rng(0)

    def add(name: str, *shape: int) -> None:
        values = random.normal(size=shape).astype(np.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values)
        else:
            quantised = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q4_1)
            writer.add_tensor(name, quantised, raw_dtype=gguf.GGMLQuantizationType.Q4_1)

    add("token_embd.weight", len(tokens), HIDDEN)
    add("output_norm.weight", HIDDEN)
    for i in range(BLOCKS):
        add(f"blk.{i}.attn_norm.weight", HIDDEN)
        add(f"blk.{i}.ffn_norm.weight", HIDDEN)
        add(f"blk.{i}.attn_q.weight", HIDDEN, HIDDEN)
        add(f"blk.{i}.attn_k.weight", HIDDEN // 2, HIDDEN)
        add(f"blk.{i}.attn_v.weight", HIDDEN // 2, HIDDEN)
        add(f"blk.{i}.attn_output.weight", HIDDEN, HIDDEN)
        add(f"blk.{i}.ffn_gate.weight", WIDE, HIDDEN)
        add(f"blk.{i}.ffn_up.weight", WIDE, HIDDEN)
        add(f"blk.{i}.ffn_down.weight", HIDDEN, WIDE)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def gguf_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def folder(gguf_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("ready")
    dequantise(gguf_file, target, architectures=("llama",))
    return target


@torch.inference_mode()
def test_the_folder_computes_what_the_dequantised_weights_rounded_to_bf16_compute(gguf_file, folder):
    source = AutoModelForCausalLM.from_pretrained(
        gguf_file.parent, gguf_file=gguf_file.name, dtype=torch.float32, local_files_only=True
    ).eval()
    ids = torch.tensor([[1, 40, 90, 2, 41]])
    exact = source(ids).logits
    for parameter in source.parameters():
        parameter.data = parameter.data.to(torch.bfloat16).float()
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()
    torch.testing.assert_close(loaded(ids).logits, source(ids).logits, rtol=0, atol=0)
    assert not torch.equal(exact, loaded(ids).logits), "rounding to bf16 is expected to show"


def test_the_weights_are_bf16_tied_and_readable(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert {file.get_slice(name).get_dtype() for name in file.keys()} == {"BF16"}  # noqa: SIM118
        assert "lm_head.weight" not in file.keys()  # noqa: SIM118
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config
    assert (config["model_type"], config["dtype"]) == ("llama", "bfloat16")
    assert {path.suffix for path in folder.iterdir()} == {".json", ".jinja", ".safetensors"}


def test_it_is_deterministic(gguf_file, folder, tmp_path):
    dequantise(gguf_file, tmp_path)
    assert fingerprint_folder(tmp_path) == fingerprint_folder(folder)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name


def test_digits_are_isolated_before_anything_else(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    blank_line = tokenizer.convert_tokens_to_ids("ĊĊ")
    # Without the rule, the last line break before a digit is kept for the digit's own piece.
    assert tokenizer("\n\n1")["input_ids"][0] == blank_line
    assert tokenizer.decode(tokenizer("per RFC 8472\n\n1. é <|im_end|>")["input_ids"]) == (
        "per RFC 8472\n\n1. é <|im_end|>"
    )


@pytest.mark.parametrize(
    "changes",
    [{"template": "{{ messages[0]['content'] }}"}, {"eos": 0}],
    ids=["template without marks", "another end token"],
)
def test_a_tokenizer_that_cannot_chat_is_refused(tmp_path, changes):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    with pytest.raises(BaseModelError) as caught:
        dequantise(write_gguf(tmp_path / "in" / "x.gguf", **changes), tmp_path / "out")
    assert caught.value.rule == "base-tokenizer"


def test_another_architecture_is_refused(gguf_file, tmp_path):
    with pytest.raises(BaseModelError) as caught:
        dequantise(gguf_file, tmp_path, architectures=("qwen2",))
    assert caught.value.rule == "base-architecture"


@pytest.fixture(scope="module")
def demo() -> Path:
    return fetch.resolve("demo", Config.from_environment())


@pytest.mark.base
def test_the_demo_base_is_the_pinned_one():
    report = fetch.verify("demo", Config.from_environment())
    assert report.is_intact
    assert report.found_fingerprint == BASES["demo"].fingerprint


@pytest.mark.base
def test_the_demo_tokenizer_knows_its_chat_marks(demo):
    tokenizer = AutoTokenizer.from_pretrained(demo, local_files_only=True)
    assert tokenizer("<|im_start|>")["input_ids"] == [1]
    assert tokenizer("<|im_end|>")["input_ids"] == [2]
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (2, 2)
    text = tokenizer.apply_chat_template(
        [{"role": "system", "content": "S."}, {"role": "user", "content": "per RFC 8472"}],
        tokenize=False,
        add_generation_prompt=True,
    )
    assert text == (
        "<|im_start|>system\nS.<|im_end|>\n<|im_start|>user\nper RFC 8472<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = tokenizer(text)["input_ids"]
    assert (ids.count(1), ids.count(2)) == (3, 2)
    assert tokenizer.decode(ids) == text


@pytest.mark.base
@torch.inference_mode()
def test_the_demo_base_answers(demo):
    tokenizer = AutoTokenizer.from_pretrained(demo, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(demo, dtype=torch.float32, local_files_only=True).eval()
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    inputs = tokenizer(text, return_tensors="pt")
    answer = model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"
