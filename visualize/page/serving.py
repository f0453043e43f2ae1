"""Serves a Solara page on localhost, to browsers that were given its address."""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import socket
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sandbox.errors import SettingsError, ToolNotFound
from visualize.page.access import Guard

_VARIABLE = "SANDBOX_SHOW"
HOST = "127.0.0.1"


def what_to_show() -> dict[str, Any]:
    """The arguments of the page, from the environment."""
    return dict(json.loads(os.environ[_VARIABLE]))


def serve(page: str, shown: Mapping[str, Any], *, port: int, on_ready: Callable[[str], Any]) -> None:
    """Serve a page until the process is interrupted.

    Args:
        page: Name of its module.
        shown: Arguments of the page; see :func:`what_to_show`.
        port: Local port; 0 for any free port.
        on_ready: Callback, receives the URL of the page, which contains a new token.

    Raises:
        ToolNotFound: Solara is not installed.
        SettingsError: the port is in use.
    """
    missing = [name for name in ("solara", "uvicorn", "altair") if importlib.util.find_spec(name) is None]
    if missing:
        raise ToolNotFound(
            f"sandbox show needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed; install "
            "with: pip install -e '.[show]'"
        )
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port))
        listening.listen(128)  # from now on browsers wait for the page
    except (OSError, OverflowError):
        listening.close()
        raise SettingsError(
            f"--port {port} of {HOST} cannot be used; choose another, or 0 for any that is free"
        ) from None
    os.environ[_VARIABLE] = json.dumps(dict(shown))
    os.environ["SOLARA_APP"] = page
    # Disables telemetry.
    os.environ["SOLARA_TELEMETRY_MIXPANEL_ENABLE"] = "False"
    os.environ["SOLARA_THEME_SHOW_BANNER"] = "False"
    os.environ["SOLARA_MODE"] = "production"
    # Of Mesa's page, and of frames on other sites, which this server does not allow; a reader can do nothing about either.
    os.environ["SOLARA_CHECK_HOOKS"] = "off"
    warnings.filterwarnings("ignore", message="Cookies with samesite=none", category=UserWarning)
    import uvicorn

    import visualize.drawing.style  # noqa: F401 (before Solara replaces matplotlib's settings)

    port, token = listening.getsockname()[1], secrets.token_urlsafe(16)
    on_ready(f"http://{HOST}:{port}/?token={token}")
    from solara.server.starlette import app

    correct_navigator()
    uvicorn.Server(uvicorn.Config(Guard(app, port=port, token=token), log_level="error")).run(sockets=[listening])


def correct_navigator() -> None:
    """Correct the first line of the script in Solara's Navigator, which every page has: it is not ``module.exports``.

    Browsers evaluate it all the same, but warn about it on their console at each opening of a page. Nothing is changed in a
    version of Solara without the fault.
    """
    from solara.widgets import Navigator

    fault, correct = "\nmodules.export = {", "\nmodule.exports = {"
    text = Path(Navigator.template_file).read_text(encoding="utf-8") if Navigator.template_file else ""
    if fault in text:
        Navigator.template_file = None  # of the class, whose trait then has this default:
        Navigator._template_default = lambda _: text.replace(fault, correct)
