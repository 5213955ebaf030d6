"""What lies on the Hugging Face Hub, wherever a local path is taken: ``org/name@revision:place``.

What is fetched lies in the hub's own cache, which ``HF_HOME`` moves and its tools empty; a download
that was cut off goes on where it stopped. ``HF_HUB_OFFLINE=1`` takes the cache alone, ``HF_TOKEN``
opens repositories that ask for an account.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from motionrt.runtime.errors import HubError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_NAME = re.compile(
    r"(?P<repository>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)"
    r"(@(?P<revision>[\w./-]+))?(:(?P<inside>\w[\w./ -]*\w))?"
)
_UNNEEDED = (".git*", "*.bin", "*.h5", "*.msgpack", "*.gguf", "*.png", "*.gif", "*.mp4")
"""What no reader opens: pictures, and the same weights in formats of other programs."""

_SENDING = "sending to"


@dataclass(frozen=True)
class HubPlace:
    """A repository at a branch, tag or commit (None: the main branch), or what is inside it."""

    repository: str
    revision: str | None = None
    inside: str | None = None

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.repository}{at}" + (f":{self.inside}" if self.inside else "")

    @classmethod
    def named(cls, place: str | os.PathLike[str]) -> HubPlace | None:
        """Return what a name means on the hub, None if it has another form."""
        match = _NAME.fullmatch(os.fspath(place))
        if match is None or ".." in os.fspath(place):
            return None
        return cls(match["repository"], match["revision"], match["inside"])


def local_path(place: str | os.PathLike[str], unneeded: Sequence[str] = _UNNEEDED) -> Path:
    """Return a path as it is if something is there; fetch it if its name is one of the hub.

    unneeded: patterns of files to leave on the hub. A name of neither kind is returned as it is,
    and so is one below a folder that is here: who opens it says what is missing. HubError if it
    cannot be fetched.
    """
    path = Path(place)
    here = path.exists() or path.parent.is_dir()
    found = None if here else HubPlace.named(place)
    return path if found is None else fetch(found, unneeded)


def fetch(place: HubPlace, unneeded: Sequence[str] = _UNNEEDED) -> Path:
    """Fetch a repository, or a folder or file of it, into the hub's cache, or find it there.

    HubError says why it could not be had.
    """
    library = _library(place)
    try:
        snapshot = library.snapshot_download(
            place.repository,
            revision=place.revision,
            allow_patterns=[place.inside, f"{place.inside}/*"] if place.inside else None,
            ignore_patterns=list(unneeded),
        )
    except Exception as error:  # the library's own, the network's and the file system's
        raise HubError(_reason(place, error)) from error
    found = Path(snapshot, place.inside or "")
    if not found.exists():
        raise HubError(f"{place}: the repository has no {place.inside}")
    return found


def _library(place: HubPlace) -> ModuleType:
    """Return the hub's own library, silent but for bars on a terminal; HubError if none."""
    try:
        import huggingface_hub as library
        from huggingface_hub.utils import logging as messages
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        from motionrt.runtime.extras import pip_command

        raise HubError(
            f"{place}: no path here; to take it for one of the hub: {pip_command('hub')}"
        ) from None
    messages.set_verbosity(logging.ERROR)  # what goes wrong is raised
    if not sys.stderr or not sys.stderr.isatty():
        disable_progress_bars()  # a log is no place for bars
    return library


def _reason(place: HubPlace, error: Exception, doing: str = "fetching it from") -> str:
    """Say in one line why nothing was fetched or sent, and what to do."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)
    for kind, text in (
        (
            GatedRepoError,
            f"its owner asks for consent: accept the terms on {constants.ENDPOINT}/"
            f"{place.repository} and set HF_TOKEN",
        ),
        (
            RepositoryNotFoundError,
            "neither a path here nor a repository on the hub (a private one needs HF_TOKEN)",
        ),
        (
            RevisionNotFoundError,
            f"the repository has no revision {place.revision}"
            if place.revision
            else f"the repository has no branch main; name one, as {place.repository}@REVISION",
        ),
    ):
        if any(isinstance(one, kind) for one in chain):
            return f"{place}: {text}"
    if constants.HF_HUB_OFFLINE:
        return f"{place}: not (whole) in the hub's cache, and HF_HUB_OFFLINE forbids fetching it"
    for one in chain:
        if isinstance(one, HfHubHTTPError):
            return f"{place}: {constants.ENDPOINT} answers {_status(one)}; try again"
    if isinstance(error, LocalEntryNotFoundError):
        return f"{place}: no such place, and {constants.ENDPOINT} cannot be reached"
    said = " ".join(str(chain[-1]).split())[:120] or type(chain[-1]).__name__
    return f"{place}: {doing} {constants.ENDPOINT} failed ({said}); try again"


def _status(error: HfHubHTTPError) -> str:
    response = error.response
    return f"{response.status_code} {response.reason_phrase}".strip()


def send(
    place: HubPlace, files: Mapping[str, Path | bytes], message: str, private: bool = False
) -> str:
    """Send files into a repository as one commit; it is made if there is none. Returns its address.

    files: contents or paths by name; they go where the place points to, on its revision, which has
    to be a branch. Readers see all of them or none. HubError says why nothing was sent.
    """
    library = _library(place)
    from huggingface_hub.errors import HfHubHTTPError

    inside = f"{place.inside}/" if place.inside else ""
    api = library.HfApi()
    try:
        api.create_repo(place.repository, private=private, exist_ok=True)
        commit = api.create_commit(
            place.repository,
            [library.CommitOperationAdd(inside + n, content) for n, content in files.items()],
            commit_message=message,
            revision=place.revision,
        )
    except HfHubHTTPError as error:
        if error.response.status_code in (401, 403):
            raise HubError(
                f"{place}: you may not write there; set HF_TOKEN to a token that may"
            ) from error
        raise HubError(_reason(place, error, _SENDING)) from error
    except Exception as error:
        raise HubError(_reason(place, error, _SENDING)) from error
    return str(commit.commit_url)
