"""An adapter from a zip archive: the allowed files, streamed under flat names, whole or not at all."""

from __future__ import annotations

import stat
import struct
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lorabench.adapters.claims import MAX_CARD_BYTES, MAX_JSON_BYTES
from lorabench.adapters.files import CHUNK, open_regular, staged_folder
from lorabench.adapters.head import MAX_HEAD_BYTES
from lorabench.adapters.inventory import (
    ADAPTER_FILES,
    ARCHIVES,
    CARD_FILE,
    CLAIMS_FILE,
    CONFIG_FILE,
    HEAD_FILE,
    WEIGHTS_FILE,
    check_weight_names,
    not_an_adapter,
)
from lorabench.adapters.lora_config import MAX_CONFIG_BYTES
from lorabench.adapters.text import shown
from lorabench.config import Limits
from lorabench.errors import AdapterRefusedError

MAX_MEMBERS = 64
MAX_RATIO = 100
RATIO_FREE_BYTES = 1024**2  # below this a high ratio harms nobody
_MAX_DIRECTORY = 1024**2
_END = struct.Struct("<4s4H2LH")
_ZIP64 = 2**32  # offsets from here on need zip64, and seeking to the largest ones fails
_REMEDY = f"Pack {CONFIG_FILE} and {WEIGHTS_FILE} into a fresh zip, or add the folder itself."


def file_caps(limits: Limits) -> dict[str, int]:
    """Return the largest accepted size of each allowed file, in bytes."""
    return {
        CONFIG_FILE: MAX_CONFIG_BYTES,
        WEIGHTS_FILE: limits.adapter_bytes,
        CLAIMS_FILE: MAX_JSON_BYTES,
        CARD_FILE: MAX_CARD_BYTES,
        HEAD_FILE: MAX_HEAD_BYTES,
    }


def unpack_adapter(zip_file: Path | BinaryIO, into: Path, limits: Limits | None = None) -> Path:
    """Unpack an adapter's zip archive into a new folder.

    Names inside the archive never become paths: each of the allowed files is written under
    its own flat name, other harmless files are left out. One top-level folder is allowed. The
    content is not yet checked; that is `read_adapter`'s work.

    Args:
        zip_file: A path, or an open binary file such as an upload.
        into: Folder to create; must not exist.
        limits: Bounds on size.

    Returns:
        `into`.

    Raises:
        AdapterRefusedError: With the rule of the check that failed.
        InputError: Rule "folder-exists".
        StorageError: Rules "disk-full" and "cannot-write".
    """
    limits = limits or Limits()
    with _opened(zip_file, limits) as file:
        try:
            _check_end(file)
            with zipfile.ZipFile(file) as archive:
                chosen = _choose(archive.infolist(), file_caps(limits), limits.adapter_bytes)
                with staged_folder(into) as staging:
                    for name, member in chosen.items():
                        _extract(archive, member, staging / name)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            NotImplementedError,
            ValueError,
            struct.error,
        ) as error:
            raise _refused("bad-zip", f"cannot be read ({shown(error)})") from error
    return into


def left_out_names(zip_file: Path | BinaryIO, limits: Limits | None = None) -> tuple[str, ...]:
    """Return the files of an archive that `unpack_adapter` leaves behind, such as code.

    Args:
        zip_file: As for `unpack_adapter`, which must have accepted it.
        limits: Bounds on size.

    Raises:
        AdapterRefusedError: With the rule of the check that failed.
    """
    with _opened(zip_file, limits or Limits()) as file:
        _check_end(file)
        try:
            with zipfile.ZipFile(file) as archive:
                names = [m.filename for m in archive.infolist() if not m.is_dir()]
        except (zipfile.BadZipFile, ValueError, struct.error) as error:
            raise _refused("bad-zip", f"cannot be read ({shown(error)})") from error
    return tuple(sorted(name for name in names if name.rsplit("/", 1)[-1] not in ADAPTER_FILES))


@contextmanager
def _opened(zip_file: Path | BinaryIO, limits: Limits) -> Iterator[BinaryIO]:
    if isinstance(zip_file, Path):
        fd, _ = open_regular(zip_file, max_bytes=limits.adapter_bytes)
        with open(fd, "rb") as file:
            yield file
        return
    if zip_file.seek(0, 2) > limits.upload_bytes:
        raise AdapterRefusedError(
            "file-too-large",
            f"The upload is larger than {limits.upload_bytes:,} bytes.",
            "Copy the adapter to the machine and add it by its folder.",
        )
    yield zip_file


def _check_end(file: BinaryIO) -> None:
    """Find the end record ourselves: its table must be small, lie where it says and be the only one."""
    size = file.seek(0, 2)
    file.seek(max(0, size - _END.size - 65_535))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or at + _END.size > len(tail):
        raise _refused("bad-zip", "is not a zip archive; other kinds are not accepted")
    _, _, _, n_here, n_all, n_directory, _, n_comment = _END.unpack_from(tail, at)
    if at + _END.size + n_comment != len(tail):
        raise _refused("bad-zip", "has bytes after its end")
    if tail[max(0, at - 20) : at].startswith(b"PK\x06\x07") or 0xFFFF in (n_here, n_all):
        raise _refused("too-many-members", "uses zip64, which an adapter does not need")
    if n_all > MAX_MEMBERS or n_directory > _MAX_DIRECTORY:
        raise _refused("too-many-members", f"has {n_all:,} members; at most {MAX_MEMBERS} are accepted")


def _choose(
    members: list[zipfile.ZipInfo], caps: dict[str, int], total_cap: int
) -> dict[str, zipfile.ZipInfo]:
    """Check every member, and return those to unpack by their flat names."""
    if len(members) > MAX_MEMBERS:
        raise _refused(
            "too-many-members", f"has {len(members):,} members; at most {MAX_MEMBERS} are accepted"
        )
    seen: set[str] = set()
    for member in members:
        _check_member(member)
        folded = unicodedata.normalize("NFC", member.filename.rstrip("/")).casefold()
        if folded in seen:
            raise _refused(
                "duplicate-member", f"has '{shown(member.filename)}' twice, or differing only in case"
            )
        seen.add(folded)
    if sum(m.file_size for m in members) > total_cap:
        raise _refused("archive-too-large", f"would unpack to more than {total_cap:,} bytes")
    files = [m for m in members if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
    names = [m.filename for m in files]
    check_weight_names(names)
    tops = {name.split("/", 1)[0] if "/" in name else "" for name in names}
    if len(tops) > 1 or any(name.count("/") > 1 for name in names):
        raise _refused("nested-folders", "has files in more than one folder")
    chosen = {name: m for m in files if (name := m.filename.rsplit("/", 1)[-1]) in ADAPTER_FILES}
    for name, member in chosen.items():
        if member.file_size > caps[name]:
            raise _refused("archive-too-large", f"has a {name} of more than {caps[name]:,} bytes")
    for wanted in (CONFIG_FILE, WEIGHTS_FILE):
        if wanted not in chosen:
            raise not_an_adapter(f"The archive has no {wanted}.")
    return chosen


def _check_member(member: zipfile.ZipInfo) -> None:
    name = member.orig_filename  # as stored, before zipfile tidies it
    parts = name.rstrip("/").split("/")
    if (
        name != member.filename
        or "\\" in name
        or ":" in name
        or any(part in ("", ".", "..") for part in parts)
        or len(name) > 512
        or member.header_offset < 0
        or any(unicodedata.category(c).startswith("C") for c in name)
    ):
        raise _refused(
            "unsafe-path", f"has the member '{shown(name)}', whose name could lead out of its folder"
        )
    if member.header_offset >= _ZIP64:
        raise _refused("bad-zip", f"places '{shown(name)}' beyond its own end")
    mode = member.external_attr >> 16
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR) or (kind == stat.S_IFDIR and not member.is_dir()):
        raise _refused("special-member", f"has '{shown(name)}' as a symbolic link or device")
    if member.flag_bits & 0x41:
        raise _refused("encrypted", f"has the encrypted member '{shown(name)}'")
    if name.lower().endswith(ARCHIVES):
        raise _refused("nested-archive", f"has the archive '{shown(name)}' inside")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused("unsupported-compression", f"has '{shown(name)}' compressed by an unusual method")
    if member.file_size > RATIO_FREE_BYTES and member.file_size > MAX_RATIO * max(member.compress_size, 1):
        raise _refused("zip-bomb", f"has '{shown(name)}', which would grow more than {MAX_RATIO} times")


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Stream one member; zipfile checks its CRC at the end and never gives more than the declared size."""
    n_bytes = 0
    with archive.open(member) as reader, target.open("xb") as writer:
        while chunk := reader.read(CHUNK):
            n_bytes += len(chunk)
            if n_bytes > member.file_size:
                break
            writer.write(chunk)
    if n_bytes != member.file_size:
        raise _refused("size-mismatch", f"lies about the size of '{shown(member.filename)}'")


def _refused(rule: str, problem: str) -> AdapterRefusedError:
    return AdapterRefusedError(rule, f"The archive {problem}.", _REMEDY)
