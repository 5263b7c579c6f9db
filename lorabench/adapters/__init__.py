"""A LoRA adapter on disk: found, checked, measured and written, without torch and without trust.

    folder, zip or hub id -> inventory -> config + safetensors header -> A and B -> facts

Rule 0: construct, do not deserialise. Our own bounded readers check every byte that is used;
whatever fails a check is refused with a named rule (`AdapterRefusedError.rule`) and a sentence
that says what, where and what to do next. `read_adapter` is the only way to bind and stops at the
first problem; `scan_folder` uses the same checks, goes on to the end and binds nothing.
"""

from lorabench.adapters.archive import left_out_names, unpack_adapter
from lorabench.adapters.base_facts import BaseFacts, BaseFolder
from lorabench.adapters.catalogue import add_adapter, find_adapter, list_adapters, remove_adapter
from lorabench.adapters.folder_findings import left_out_findings
from lorabench.adapters.hub import FetchedAdapter, fetch_adapter, is_repo_id
from lorabench.adapters.lora_config import LoraSettings, parse_lora_config
from lorabench.adapters.measure import core_singular_values
from lorabench.adapters.modules import LoraModule
from lorabench.adapters.reader import CheckedAdapter, read_adapter
from lorabench.adapters.safetensors_header import TensorEntry
from lorabench.adapters.safetensors_reader import SafetensorsFile
from lorabench.adapters.scanner import FileScan, scan_folder
from lorabench.adapters.text import shown
from lorabench.adapters.writer import write_adapter

__all__ = [
    "BaseFacts",
    "BaseFolder",
    "CheckedAdapter",
    "FetchedAdapter",
    "FileScan",
    "LoraModule",
    "LoraSettings",
    "SafetensorsFile",
    "TensorEntry",
    "add_adapter",
    "core_singular_values",
    "fetch_adapter",
    "find_adapter",
    "is_repo_id",
    "left_out_findings",
    "left_out_names",
    "list_adapters",
    "parse_lora_config",
    "read_adapter",
    "remove_adapter",
    "scan_folder",
    "shown",
    "unpack_adapter",
    "write_adapter",
]
