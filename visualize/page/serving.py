"""Serves a page of Solara's on this machine alone."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.errors import SettingsError, ToolNotFound

_VARIABLE = "SANDBOX_SHOW"
HOST = "127.0.0.1"


def what_to_show() -> dict[str, Any]:
    """What the page was started for."""
    return dict(json.loads(os.environ[_VARIABLE]))


def serve(page: str, shown: Mapping[str, Any], *, port: int, on_ready: Callable[[str], Any]) -> None:
    """Serve a page until the process is told to stop.

    Args:
        page: Name of its module.
        shown: What :func:`what_to_show` tells it.
        port: Of this machine's own address; 0 for any that is free.
        on_ready: Told the page's address.

    Raises:
        ToolNotFound: Solara is not installed.
        SettingsError: the port is taken.
    """
    missing = [name for name in ("solara", "uvicorn", "altair") if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolNotFound(
            f"sandbox show needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed; install "
            "what it needs with: pip install 'social-sandbox[show]'"
        )
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(128)  # from now on a browser waits until the page is there
    except (OSError, OverflowError):
        listening.close()
        raise SettingsError(
            f"--port {port} of {HOST} cannot be used; choose another, or 0 for any that is free"
        ) from None
    os.environ[_VARIABLE] = json.dumps(dict(shown))
    os.environ["SOLARA_APP"] = page
    # Our users did not ask for pings to anybody.
    os.environ["SOLARA_TELEMETRY_MIXPANEL_ENABLE"] = "False"
    os.environ["SOLARA_THEME_SHOW_BANNER"] = "False"
    os.environ["SOLARA_MODE"] = "production"
    import uvicorn

    import visualize.drawing.style  # noqa: F401 (before Solara replaces matplotlib's settings)

    server = uvicorn.Server(uvicorn.Config("solara.server.starlette:app", log_level="error"))
    on_ready(f"http://{HOST}:{listening.getsockname()[1]}/")
    server.run(sockets=[listening])
