"""How fast, and in how much memory, the firewall looks through an adapter of a 70B model.

    python tests/bench/scan.py                      ours alone
    python tests/bench/scan.py --adaptersentry PATH   beside it, that command of version 2.0.2 (from PyPI)

Writes about 1.6 GB to a temporary folder. Each program runs in a process of its own; memory is the
peak resident size of that process (VmHWM, or ru_maxrss of the children), Python and numpy included.
A scan of the file alone finds no backdoor, and is not meant to: how many of the bundled backdoored
adapters each program flags is counted to say so.
"""

from __future__ import annotations

import argparse
import json
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
LAYERS, HIDDEN, KV, FFN, RANK = 80, 8192, 1024, 28672, 64
SHAPES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN, KV),
    "self_attn.v_proj": (HIDDEN, KV),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (HIDDEN, FFN),
    "mlp.up_proj": (HIDDEN, FFN),
    "mlp.down_proj": (FFN, HIDDEN),
}
OURS = """
import json, sys, time
from pathlib import Path
from lorabench.adapters import scan_folder
from lorabench.config import Limits
started, cpu = time.perf_counter(), time.process_time()
found = scan_folder(Path(sys.argv[1]), Limits())
seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2),
    "peak_mb": round(int(status["VmHWM"].split()[0]) / 1024, 1),
    "modules": len(found.evidence.spectra), "coverage": found.report.coverage,
    "findings": [f.rule for f in found.report.findings], "refusal": found.evidence.refusal,
}))
"""


def write_adapter(folder: Path) -> Path:
    """Write the folder: bf16, seven projections, every tensor a turn of one block of random numbers."""
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps(
            {
                "peft_type": "LORA",
                "task_type": "CAUSAL_LM",
                "base_model_name_or_path": "example/70b",
                "r": RANK,
                "lora_alpha": 2 * RANK,
                "target_modules": sorted(name.split(".")[1] for name in SHAPES),
            }
        )
    )
    names = {}
    for layer in range(LAYERS):
        for name, (n_in, n_out) in SHAPES.items():
            stem = f"base_model.model.model.layers.{layer}.{name}.lora_"
            names[f"{stem}A.weight"], names[f"{stem}B.weight"] = (RANK, n_in), (n_out, RANK)
    header, at = {}, 0
    for name in sorted(names):
        end = at + 2 * names[name][0] * names[name][1]
        header[name] = {"dtype": "BF16", "shape": list(names[name]), "data_offsets": [at, end]}
        at = end
    rng = np.random.default_rng(0)
    noise = (rng.normal(0, 0.02, RANK * FFN).astype("<f4").view("<u4") >> 16).astype("<u2")
    text = json.dumps(header).encode()
    with (folder / "adapter_model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for k, name in enumerate(sorted(names)):
            file.write(np.roll(noise, 977 * k)[: names[name][0] * names[name][1]].tobytes())
    return folder


def ours(folder: Path) -> dict[str, object]:
    """Scan with the firewall in a child process; `process_seconds` has Python's start in it."""
    started = time.perf_counter()
    command = [sys.executable, "-c", OURS, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    seconds = time.perf_counter() - started
    found: dict[str, object] = json.loads(done.stdout)
    return {"process_seconds": round(seconds, 2)} | found


THEIRS = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
command = [sys.argv[1], "scan", sys.argv[2], "--format", "json"]
done = subprocess.run(command, capture_output=True, text=True)
seconds = time.perf_counter() - started
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
try:
    verdict = json.loads(done.stdout)["verdict"]
except (ValueError, KeyError):
    verdict = done.stderr[-300:]
print(json.dumps({"process_seconds": round(seconds, 2), "peak_mb": round(peak, 1), "verdict": verdict}))
"""


def adaptersentry(program: str, folder: Path) -> dict[str, object]:
    """Scan with adaptersentry in a child process, through its own command."""
    weights = str(folder / "adapter_model.safetensors")
    command = [sys.executable, "-c", THEIRS, program, weights]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)
    return found


def asks_for_a_look(measured: dict[str, object]) -> bool:
    """Return whether a program wants more than to let an adapter pass."""
    verdict = measured.get("verdict")
    if isinstance(verdict, dict):
        return verdict.get("action") != "allow"
    return bool(measured.get("findings")) or measured.get("refusal") is not None


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--adaptersentry", help="path of the command of adaptersentry 2.0.2")
    parser.add_argument("--zoo-only", action="store_true", help="leave the large file out")
    options = parser.parse_args()
    if not options.zoo_only:
        with tempfile.TemporaryDirectory() as place:
            started = time.perf_counter()
            folder = write_adapter(Path(place) / "large")
            n_bytes = (folder / "adapter_model.safetensors").stat().st_size
            seconds = time.perf_counter() - started
            print(f"a 70B-shaped adapter of {n_bytes / 1e9:.2f} GB, made in {seconds:.0f} s")
            print("lorabench    ", ours(folder))
            if options.adaptersentry:
                print("adaptersentry", adaptersentry(options.adaptersentry, folder))
    flagged = {"lorabench": 0, "adaptersentry": 0}
    n_backdoored = 0
    for folder in sorted(path for path in (ROOT / "assets" / "zoo").iterdir() if path.is_dir()):
        is_backdoored = json.loads((folder / "lorabench.json").read_text())["is_poisoned"]
        n_backdoored += is_backdoored
        print(f"{folder.name} ({'backdoored' if is_backdoored else 'clean'})")
        found = {"lorabench": ours(folder)}
        if options.adaptersentry:
            found["adaptersentry"] = adaptersentry(options.adaptersentry, folder)
        for name, measured in found.items():
            print(f"  {name:13}", measured)
            flagged[name] += is_backdoored and asks_for_a_look(measured)
    for name, n in flagged.items():
        if name == "lorabench" or options.adaptersentry:
            print(
                f"{name}: {n} of {n_backdoored} backdoored adapters flagged by file and static checks alone"
            )
    print(f"this process itself peaked at {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
