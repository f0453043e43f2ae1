"""Pushes to a hub of models and datasets, in one commit; with one clear error for each cause.

``huggingface_hub`` speaks to the hub: its token (``HF_TOKEN``, ``hf auth login``), its address (``HF_ENDPOINT``).
"""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from sandbox.errors import PushError
from sandbox.models.remote.api_keys import scrubbed
from trainers.sharing.upload import Kind, Upload

_T = TypeVar("_T")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_LONGEST_NAME = 96
_NO_TOKEN = (
    "no token of the hub is set: run `hf auth login`, or set HF_TOKEN to a token with write access "
    "(https://huggingface.co/settings/tokens)"
)
# Seconds before a request that failed on the side of the hub is made again.
WAITS_S = (1.0, 2.0, 4.0)


def check_name(repo: str) -> None:
    """Refuse what is no name of a repository.

    Raises:
        PushError: it is not of the form ``OWNER/NAME``.
    """
    name = repo.partition("/")[2]
    wrong = ".." in repo or "--" in repo or name.endswith((".git", ".", "-")) or len(repo) > _LONGEST_NAME
    if not _NAME.fullmatch(repo) or wrong:
        raise PushError(
            f"{repo!r} is no name on a hub: expected OWNER/NAME, your user or organisation and a name of letters, digits, "
            "'-', '_' and '.', such as ada/kind-model"
        )


def push(
    upload: Upload, repo: str, *, private: bool = False, revision: str | None = None, message: str
) -> dict[str, Any]:
    """Create a repository if it does not exist, and add all files in one commit.

    Args:
        upload: What is pushed.
        repo: ``OWNER/NAME``.
        private: Whether a new repository is private.
        revision: Branch, which is created if it does not exist; None for the main one.
        message: Of the commit.

    Returns:
        ``url`` and ``commit``; ``commit_url`` names the commit.

    Raises:
        PushError: there is no token, the hub refuses, or it cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, get_token

    check_name(repo)
    token = get_token()
    if not token:
        raise PushError(_NO_TOKEN)
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or None
    api = HfApi(endpoint=endpoint, token=token)
    kind = upload.kind
    left = ["Nothing was committed"]
    with _clear_errors(repo, api.endpoint, token, left):
        before = _existing(api, repo, kind)
        if before is None and _existing(api, repo, _other(kind)) is not None:
            raise PushError(
                f"{repo} is a {_other(kind)} on the hub, and this is a {kind}: choose another name, such as {repo}-{kind}"
            )
        if before is not None and private and not before.private:
            raise PushError(
                f"{repo} exists and is public: make it private in its settings on the hub, choose another name, or leave out "
                "--private"
            )
        url = str(_again(lambda: api.create_repo(repo, repo_type=kind, private=private or None, exist_ok=True)))
        if before is None:
            left.append(f"Nothing was committed: the new repository {repo} is empty; push again to fill it")
        if revision is not None:
            _again(lambda: api.create_branch(repo, branch=revision, repo_type=kind, exist_ok=True))

        def commit() -> Any:
            # One commit: upload_folder makes several of a large folder. A second try leaves out what the first has committed.
            added = [CommitOperationAdd(file.name, _content(file.content)) for file in upload.files]
            return api.create_commit(repo, added, commit_message=message, repo_type=kind, revision=revision)

        made = _again(commit)
    return {"url": url, "commit": made.oid, "commit_url": made.commit_url}


def _content(content: Any) -> Any:
    return content if isinstance(content, bytes) else str(content)


def _other(kind: Kind) -> Kind:
    return "dataset" if kind == "model" else "model"


def _existing(api: Any, repo: str, kind: Kind) -> Any:
    """What the hub knows of a repository; None if there is none."""
    from huggingface_hub.errors import RepositoryNotFoundError

    try:
        return _again(lambda: api.repo_info(repo, repo_type=kind))
    except RepositoryNotFoundError:
        return None


def _again(call: Callable[[], _T]) -> _T:
    """Make a request again that failed on the side of the hub."""
    from huggingface_hub.errors import HfHubHTTPError

    for wait_s in WAITS_S:
        try:
            return call()
        except HfHubHTTPError as error:
            if error.response is None or error.response.status_code not in (429, 500, 502, 503, 504):
                raise
        time.sleep(wait_s)
    return call()


@contextmanager
def _clear_errors(repo: str, endpoint: str, token: str, left: Sequence[str]) -> Iterator[None]:
    """Turn errors of the hub's client into one line that says what to do; suppress its warnings and bars.

    Args:
        repo: Name of the repository.
        endpoint: Address of the hub.
        token: Kept out of messages.
        left: In what state the hub is left; the last applies.

    Raises:
        PushError: the hub refused, or cannot be reached.
    """
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    log = logging.getLogger("huggingface_hub")
    shown, level = not are_progress_bars_disabled(), log.level
    disable_progress_bars()
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except OfflineModeIsEnabled as error:
        raise PushError("HF_HUB_OFFLINE is set, so that the hub is not asked: unset it to push") from error
    except HfHubHTTPError as error:
        _refused(error, repo, endpoint, token, left[-1])
    except (OSError, ValueError, RuntimeError) as error:
        # Malformed replies, files that vanished, invalid metadata of the card.
        raise PushError(f"{repo} was not pushed to {endpoint}: {_line(error, token)}. {left[-1]}") from error
    except Exception as error:
        if not type(error).__module__.startswith(("httpx", "httpcore")):
            raise
        raise PushError(
            f"{endpoint} cannot be reached: {_line(error, token)}. Check the network and HF_ENDPOINT. {left[-1]}"
        ) from error
    finally:
        log.setLevel(level)
        if shown:
            enable_progress_bars()


def _refused(error: Any, repo: str, endpoint: str, token: str, left: str) -> NoReturn:
    """Say why a hub refused, and what to do.

    Raises:
        PushError: always.
    """
    status = None if error.response is None else error.response.status_code
    said = _line(getattr(error, "server_message", None) or error, token)
    owner = repo.partition("/")[0]
    advice = {
        401: "the token is not valid: run `hf auth login`, or set HF_TOKEN to a token with write access",
        403: f"the token may not write to {owner}: use one with write access, and a name of your own or of an organisation "
        "that you may write to",
        404: f"there is no {owner} on the hub, or the token may not see it: check the name",
        413: "a file is too large for the hub",
        429: "too many requests: wait, and push again",
    }  # fmt: skip
    what = advice.get(
        status or 0, "the hub failed: push again later" if status and status >= 500 else "the hub refuses it"
    )
    number = "" if status is None else f" ({status})"
    raise PushError(f"{repo} was not pushed to {endpoint}: {what}{number}. The hub says: {said}. {left}") from error


def _line(error: Any, token: str) -> str:
    """The message of an error as one line, without the token."""
    words = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return scrubbed(words.replace(token, "[token]"))[:300]
