"""What to install when a command needs more than the runtime."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from motionrt.runtime.errors import ExportError
from motionrt.runtime.extras import pip_command


@contextmanager
def needing(extra: str, what: str) -> Iterator[None]:
    """Import in this block what only an extra brings.

    ExportError names the package that is missing, with the command that installs the extra; `what`
    is the subject of the sentence ("export", "training").
    """
    try:
        yield
    except ImportError as error:
        raise ExportError(f"{what} needs {error.name}; {pip_command(extra)}") from error
