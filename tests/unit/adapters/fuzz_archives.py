"""A seeded mutator of adapter archives: the same seed and index give the same archive."""

from __future__ import annotations

import io
import random
import struct
import zipfile

from fuzz_bytes import damaged, mutant, valid_folders
from fuzz_cases import INTEGERS, Folder


def mutant_zip(seed: int, index: int) -> bytes:
    """Return one hostile archive: of a hostile folder, or with hostile bytes of its own."""
    rng = random.Random(f"{seed}:{index}:zip")
    folder = mutant(seed, index) if rng.random() < 0.3 else dict(rng.choice(valid_folders()))
    blob = zipped(rng, folder)
    for _ in range(rng.choice([0, 1, 1, 2])):
        blob = rng.choice([damaged, _record_damaged, _record_damaged])(rng, blob)
    return blob


def zipped(rng: random.Random, folder: Folder) -> bytes:
    """Pack the files of a folder, now and then under a folder's name or next to odd members."""
    buffer = io.BytesIO()
    prefix = rng.choice(["a/", "a/", "../"]) if rng.random() < 0.2 else ""
    attributes = rng.choice([0, 0x81A4, 0x81A4, 0xA1FF if rng.random() < 0.1 else 0]) << 16
    extra = struct.pack("<HHQ", 1, 8, rng.choice(INTEGERS) % 2**64) if rng.random() < 0.3 else b""
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in folder.items():
            if isinstance(data, bytes) and name.isprintable():
                info = zipfile.ZipInfo(prefix + name)
                info.compress_type = rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
                info.extra = extra
                info.external_attr = attributes
                archive.writestr(info, data)
    return buffer.getvalue()


def _record_damaged(rng: random.Random, blob: bytes) -> bytes:
    """Put a boundary value, or another name, into a local header, the directory or the end record."""
    mark, fields = rng.choice(
        [
            (b"PK\x03\x04", [(4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (30, 4)]),
            (b"PK\x01\x02", [(4, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2)]),
            (b"PK\x01\x02", [(34, 2), (38, 4), (42, 4), (46, 4), (20, 8), (38, 8)]),
            (b"PK\x05\x06", [(4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2), (12, 8)]),
        ]
    )
    starts = [i for i in range(len(blob)) if blob.startswith(mark, i)]
    if not starts:
        return damaged(rng, blob)
    place, width = rng.choice(fields)
    at = rng.choice(starts) + place
    odd = rng.choice([struct.pack("<Q", rng.choice(INTEGERS) % 2**64), b"\xff" * 8, b"../\\\0\xe9:."])[:width]
    return blob[:at] + odd + blob[at + width :]
