"""The real dashboard in a process of its own, and tabs that use it as a browser would, without one.

`AgentTab` clicks through Streamlit's agent API, which returns the finished element tree.
`open_tabs` speaks the browser's own protocol over WebSockets: it honours the timers that the
page asks for, so that the cost of tabs that only wait can be measured.
"""

from __future__ import annotations

import asyncio
import html
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

from lorabench.config import app_root
from lorabench.errors import ServerError

HOST = "127.0.0.1"
_MARGIN = re.compile(r"margin ([+\u2212]\d+\.\d+)<")
_START_SECONDS = 60.0


class Dashboard:
    """`streamlit run app.py` with the agent API on, with a data folder of its own."""

    def __init__(self, data_dir: Path, log: Path) -> None:
        self.port = _free_port()
        self._log = log.open("wb")
        flags = {
            "server.address": HOST,
            "server.port": str(self.port),
            "server.headless": "true",
            "server.enableAgentApi": "true",
            "server.agentMaxSessions": "200",
            "browser.gatherUsageStats": "false",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", *(f"--{k}={v}" for k, v in flags.items())],
            cwd=app_root(),
            env={**os.environ, "LORABENCH_DATA_DIR": str(data_dir)},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._usage = psutil.Process(self._process.pid)

    def __enter__(self) -> Dashboard:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError, http.client.HTTPException):
                connection = http.client.HTTPConnection(HOST, self.port, timeout=2)
                connection.request("GET", "/_stcore/health")
                if connection.getresponse().status == 200:
                    return self
            time.sleep(0.2)
        self.__exit__()
        raise ServerError("no-dashboard", "The dashboard did not start.", "Read its log in runs/.")

    def __exit__(self, *exc: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    @property
    def memory_mb(self) -> float:
        """Resident memory of the server, in MB (10^6 bytes)."""
        return float(self._usage.memory_info().rss) / 1e6

    @property
    def cpu_seconds(self) -> float:
        """Processor time that the server has used so far."""
        times = self._usage.cpu_times()
        return float(times.user + times.system)


class TabError(Exception):
    """The server refused a request of a tab, or the page raised."""


@dataclass
class AgentTab:
    """One session of the agent API; one request at a time.

    Attributes:
        port: The server's port.
        session: Its id; None before the first request.
        page: The last snapshot.
    """

    port: int
    session: str | None = None
    page: dict[str, Any] = field(default_factory=dict)

    def send(self, **request: Any) -> dict[str, Any]:
        """Send one request and return the page as it is when the run has ended.

        Raises:
            TabError: If the server refuses it or the page raises.
        """
        if self.session is not None:
            request["session_id"] = self.session
        connection = http.client.HTTPConnection(HOST, self.port, timeout=90)
        try:
            body = json.dumps(request)
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/_stcore/agent/interact", body, headers)
            answer = connection.getresponse()
            content = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise TabError(f"{type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if answer.status == 202:  # the run goes on: collect it
            self.session = content["error"].get("session_id", self.session)
            return self.send()
        if answer.status != 200 or content.get("status") == "error":
            raise TabError(
                f"{answer.status}: {json.dumps(content.get('error') or _exceptions(content))[:300]}"
            )
        self.session, self.page = content["session_id"], content
        return self.page

    @property
    def keys(self) -> frozenset[str]:
        """Keys of everything that can be clicked or changed."""
        return frozenset(action["key"] for action in self.page["actions"])

    def margins_of(self, prompt: str) -> tuple[str, ...]:
        """Return the margins printed for a prompt, card by card; () while they are not there."""
        for node in _nodes(self.page["tree"]):
            body = str(node.get("props", {}).get("body", "")) if node["type"] == "html" else ""
            found = tuple(_MARGIN.findall(body))
            if found and _squeezed(prompt) in _squeezed(html.unescape(re.sub(r"<[^>]*>", "", body))):
                return found
        return ()


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("children") or ():
        yield from _nodes(child)


def _exceptions(page: dict[str, Any]) -> list[Any]:
    tree = page.get("tree")
    return [n.get("props") for n in _nodes(tree) if n["type"] == "exception"] if tree else []


def _squeezed(text: str) -> str:
    """Return a text without spaces: coloured words and plain text differ in them."""
    return re.sub(r"\s", "", text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass
class Waiting:
    """What tabs that only wait did.

    Attributes:
        tabs: How many were open.
        asked: Timers that the page asked for, in all.
        polls: Fragment reruns that were sent.
        answered: Messages that came back.
    """

    tabs: int
    asked: int = 0
    polls: int = 0
    answered: int = 0


def open_tabs(
    dashboard: Dashboard, n: int, seconds: float, poll_seconds: float | None
) -> tuple[Waiting, float]:
    """Open tabs of the Playground, wait, and return what they did and the server's CPU seconds.

    Args:
        dashboard: The server.
        n: How many tabs.
        seconds: How long they wait, after all have opened.
        poll_seconds: None honours the timers that the page itself asks for; a number reruns the
            status bar that often, as the bar of a tab with work under way does.
    """
    return asyncio.run(_open_tabs(dashboard, n, seconds, poll_seconds))


async def _open_tabs(
    dashboard: Dashboard, n: int, seconds: float, poll_seconds: float | None
) -> tuple[Waiting, float]:
    seen = Waiting(tabs=n)
    go, stop = asyncio.Event(), asyncio.Event()
    opened = asyncio.Semaphore(0)
    tabs = [
        asyncio.create_task(_tab(dashboard.port, k / n, poll_seconds, seen, (opened, go, stop)))
        for k in range(n)
    ]
    for _ in range(n):
        await asyncio.wait_for(opened.acquire(), _START_SECONDS)
    await asyncio.sleep(2)  # what opening left behind
    before = dashboard.cpu_seconds
    go.set()
    await asyncio.sleep(seconds)
    used = dashboard.cpu_seconds - before
    stop.set()
    await asyncio.gather(*tabs)
    return seen, used


async def _tab(
    port: int,
    phase: float,
    poll_seconds: float | None,
    seen: Waiting,
    signals: tuple[asyncio.Semaphore, asyncio.Event, asyncio.Event],
) -> None:
    opened, go, stop = signals
    address = f"ws://{HOST}:{port}/_stcore/stream"
    async with connect(address, subprotocols=["streamlit"], max_size=None, proxy=None) as socket_:  # type: ignore[list-item]
        message = BackMsg()
        message.rerun_script.page_name = "playground"
        await socket_.send(message.SerializeToString())
        timers, fragment = await _first_run(socket_)
        seen.asked += len(timers)
        opened.release()
        await go.wait()
        if poll_seconds is not None:
            timers = {fragment: poll_seconds}
        jobs = [asyncio.create_task(_poll(socket_, f, s, phase, seen)) for f, s in timers.items()]
        jobs.append(asyncio.create_task(_drain(socket_, seen)))
        await stop.wait()
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


async def _first_run(socket_: ClientConnection) -> tuple[dict[str, float], str]:
    """Read the first run to its end; return the timers it asks for, and the status bar's fragment."""
    timers: dict[str, float] = {}
    fragment = ""
    while True:
        message = ForwardMsg.FromString(await socket_.recv(decode=False))
        match message.WhichOneof("type"):
            case "auto_rerun":
                timers[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            case "delta":
                fragment = fragment or message.delta.fragment_id
            case "script_finished":
                return timers, fragment


async def _poll(socket_: ClientConnection, fragment: str, every: float, phase: float, seen: Waiting) -> None:
    await asyncio.sleep(phase * every)
    while True:
        message = BackMsg()
        message.rerun_script.page_name = "playground"
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = True
        await socket_.send(message.SerializeToString())
        seen.polls += 1
        await asyncio.sleep(every)


async def _drain(socket_: ClientConnection, seen: Waiting) -> None:
    async for _ in socket_:
        seen.answered += 1
