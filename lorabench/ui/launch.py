"""Start the Streamlit server in this process, and say when it answers."""

from __future__ import annotations

import sys
import threading
import time
import urllib.request
import webbrowser
from collections.abc import Callable
from contextlib import redirect_stdout, suppress

from lorabench.config import app_root
from lorabench.errors import ServerError
from lorabench.workflows.server import ServerPlan

_POLL_SECONDS = 0.1


def serve(plan: ServerPlan, *, on_ready: Callable[[], None], opens_browser: bool) -> None:
    """Serve the dashboard until Ctrl-C or SIGTERM.

    `.streamlit/config.toml` beside `app.py` applies from any working folder; the flags below
    stand above it and above the user's own Streamlit settings.

    Args:
        plan: Where to listen.
        on_ready: Called once, when the server answers its health check.
        opens_browser: Whether to open the dashboard in a browser then.

    Raises:
        ServerError: If the dashboard's files are missing.
    """
    script = app_root() / "app.py"
    if not script.is_file():
        raise ServerError("no-app", f"There is no {script}.", "Install lorabench again.")
    from streamlit.web import cli

    _use_navigation()
    stopped = threading.Event()
    threading.Thread(
        target=_announce, args=(plan, on_ready, opens_browser, stopped), name="lorabench-ready", daemon=True
    ).start()
    flags = {
        "server.address": plan.address,
        "server.port": str(plan.port),
        "server.headless": "true",  # the browser is opened here, once the server answers
        "server.fileWatcherType": "none",
        "runner.postScriptGC": "false",  # see .streamlit/config.toml
        "browser.gatherUsageStats": "false",
        "logger.hideWelcomeMessage": "true",
    }
    arguments = ["run", str(script), *(f"--{name}={value}" for name, value in flags.items())]
    try:
        with redirect_stdout(sys.stderr):  # the server's remarks must not end up in a JSON document
            cli.main(arguments, prog_name="lorabench ui", standalone_mode=False)
    finally:
        stopped.set()


def _use_navigation() -> None:
    """Keep Streamlit from running a page of `pages/` alone when it is asked for before `app.py` ran."""
    with suppress(ImportError, AttributeError):
        from streamlit.runtime.pages_manager import PagesManager  # internal: guarded

        PagesManager.uses_pages_directory = False


def _announce(
    plan: ServerPlan, on_ready: Callable[[], None], opens_browser: bool, stopped: threading.Event
) -> None:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy
    while not stopped.is_set():
        with suppress(OSError), direct.open(f"{plan.url}/_stcore/health", timeout=2) as answer:
            if answer.status == 200 and answer.read(16).strip() == b"ok":
                break
        time.sleep(_POLL_SECONDS)
    if stopped.is_set():
        return
    on_ready()
    if opens_browser:
        with suppress(webbrowser.Error):
            webbrowser.open(plan.presenter_url)
