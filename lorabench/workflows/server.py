"""Where a dashboard may listen, and which dashboards run on a data folder.

A running dashboard leaves a small note in the data folder, so that `data wipe` does not pull
the score store from under it. A note whose process is gone is ignored and cleared away.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lorabench.config import Config
from lorabench.engine.processes import own_identity, process_identity
from lorabench.errors import InputError, ServerError, StorageError

LOOPBACK = "127.0.0.1"
EVERYWHERE = "0.0.0.0"
_PORTS_TRIED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerRequest:
    """Where the dashboard should listen.

    Attributes:
        port: TCP port, 1 to 65535.
        address: IP address or host name of this machine.
        lan: Listen on every address, for a room; overrides `address`.
    """

    port: int = 8501
    address: str = LOOPBACK
    lan: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPlan:
    """Where the dashboard will listen; checked to be free.

    Attributes:
        address: Address to bind.
        port: Port to bind.
        url: Address for a browser on this machine.
        lan_urls: Addresses for other machines; empty unless `is_open`.
        is_open: Whether other machines can connect.
        presenter_key: Secret that makes a browser the presenter's; None unless `is_open`.
    """

    address: str
    port: int
    url: str
    lan_urls: tuple[str, ...] = ()
    is_open: bool = False
    presenter_key: str | None = None

    @property
    def presenter_url(self) -> str:
        """Address that makes a browser on this machine the presenter's; plain `url` when not open."""
        return f"{self.url}/?key={self.presenter_key}" if self.presenter_key else self.url


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDashboard:
    """A dashboard that uses a data folder now.

    Attributes:
        pid: Its process.
        url: Its address on this machine.
    """

    pid: int
    url: str


def plan_server(request: ServerRequest) -> ServerPlan:
    """Check that the address can be bound, and say how browsers will reach it.

    Raises:
        InputError: If the port or address makes no sense.
        ServerError: If the port is taken (with the next free one) or may not be bound.
    """
    if not 1 <= request.port <= 65_535:
        raise InputError("bad-port", f"There is no port {request.port}.", "Choose 1024 to 65535.")
    address = EVERYWHERE if request.lan else request.address.strip()
    _check_free(address, request.port)
    is_open = not _is_loopback(address)
    return ServerPlan(
        address=address,
        port=request.port,
        url=_url(_reachable(address), request.port),
        lan_urls=tuple(_url(a, request.port) for a in _outside(address)) if is_open else (),
        is_open=is_open,
        presenter_key=secrets.token_urlsafe(12) if is_open else None,
    )


def lan_addresses() -> tuple[str, ...]:
    """Return this machine's IPv4 addresses that others may reach, the likeliest first; sends nothing."""
    found: list[str] = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # a documentation address: UDP's connect only asks the routing table
        found.append(str(probe.getsockname()[0]))
    with suppress(OSError):
        for *_, place in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET):
            found.append(str(place[0]))
    return tuple(
        dict.fromkeys(a for a in found if not ipaddress.ip_address(a).is_loopback and a != EVERYWHERE)
    )


@contextmanager
def registered(config: Config, url: str) -> Iterator[None]:
    """Leave a note that this process serves a dashboard on the data folder, as long as the block runs.

    A note that this process left already stays as it is, and is removed by who left it.

    Args:
        config: Where user data lives.
        url: Address of the dashboard on this machine, for people.

    Raises:
        StorageError: If the data folder cannot be written.
    """
    note = config.data_dir / f"dashboard-{os.getpid()}.json"
    if _read(note) is not None:
        yield
        return
    content = {"pid": os.getpid(), "process": own_identity(), "url": url}
    try:
        config.data_dir.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(content), encoding="utf-8")
    except OSError as error:
        raise StorageError(
            "data-folder",
            f"The data folder {config.data_dir} cannot be written ({error.strerror}).",
            "Free some space, or set LORABENCH_DATA_DIR to a folder you can write to.",
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            note.unlink(missing_ok=True)


def running_dashboards(config: Config) -> tuple[RunningDashboard, ...]:
    """Return the dashboards that use the data folder now; notes of dead ones are cleared away."""
    found = []
    for note in sorted(config.data_dir.glob("dashboard-*.json")):
        known = _read(note)
        if known is not None:
            found.append(known)
        else:
            with suppress(OSError):
                note.unlink()
    return tuple(found)


def _read(note: Path) -> RunningDashboard | None:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
        pid, process, url = int(content["pid"]), str(content["process"]), str(content["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    alive = process == own_identity() if pid == os.getpid() else process_identity(pid) == process
    return RunningDashboard(pid=pid, url=url) if alive else None


def _check_free(address: str, port: int) -> None:
    problem = _bind_problem(address, port)
    if problem is None:
        return
    if problem.errno in (errno.EADDRINUSE, errno.EACCES):
        reason = "taken" if problem.errno == errno.EADDRINUSE else "reserved for the system"
        free = next_free_port(address, max(port, 1023) + 1)
        hint = f"Try `--port {free}`." if free else "Choose another one with --port."
        raise ServerError(
            "port-taken", f"The port {port} is {reason}, perhaps by another dashboard.", hint
        ) from problem
    raise InputError(
        "bad-address",
        f"This machine has no address {address!r} ({problem.strerror}).",
        f"Use {LOOPBACK}, or `--lan` to let a room connect.",
    ) from problem


def next_free_port(address: str, start: int) -> int | None:
    """Return the first port from `start` on that can be bound; None if a hundred are taken."""
    ports = range(start, min(start + _PORTS_TRIED, 65_536))
    return next((port for port in ports if _bind_problem(address, port) is None), None)


def _bind_problem(address: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address or LOOPBACK, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # as servers do; on Windows it would hide a taken port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
            probe.listen(1)
    except OSError as error:
        return error
    except UnicodeError:
        return OSError(errno.EINVAL, "not a host name")
    return None


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _reachable(address: str) -> str:
    return LOOPBACK if address == EVERYWHERE else "::1" if address == "::" else address


def _outside(address: str) -> tuple[str, ...]:
    return lan_addresses() if address in (EVERYWHERE, "::") else (address,)


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
