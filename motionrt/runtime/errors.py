"""Every error that motionrt raises on purpose.

::

    MotionrtError
    ├── InputError       a value, file or prompt that the caller gave is wrong
    ├── BundleError      a bundle is missing, damaged or from another version
    ├── BackendError     a backend that was asked for cannot run here
    ├── CheckpointError  a checkpoint cannot be read or does not fit its config
    ├── ExportError      a checkpoint was read but cannot become a bundle
    └── ParityError      an exported graph differs from its torch module

A message is one line: what is wrong, where, what to do.
"""


class MotionrtError(Exception):
    """Base of the errors below; the command line prints it as one line and exits with 1."""


class InputError(MotionrtError):
    """A value, file or prompt that the caller gave is wrong."""


class BundleError(MotionrtError):
    """A bundle is missing, damaged or from another version."""


class BackendError(MotionrtError):
    """A backend that was asked for cannot run here."""


class CheckpointError(MotionrtError):
    """A checkpoint cannot be read or does not fit its config."""


class ExportError(MotionrtError):
    """A checkpoint was read but cannot become a bundle."""


class ParityError(MotionrtError):
    """An exported graph differs from its torch module by more than is allowed."""


def printable(text: str, most: int = 200) -> str:
    """Return what a stranger said, for a message: one line that cannot steer a terminal."""
    shown = text[:most] + ("…" if len(text) > most else "")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)
