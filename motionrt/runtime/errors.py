"""Every error that motionrt raises on purpose.

::

    MotionrtError
    ├── InputError       a value, file or prompt that the caller gave is wrong
    ├── BundleError      a bundle is missing, damaged or from another version
    ├── BackendError     a backend that was asked for cannot run here
    ├── CheckpointError  a checkpoint cannot be read or does not fit its config
    ├── HubError         what a name means on a model hub cannot be fetched or sent
    ├── ExportError      a checkpoint was read but cannot become a bundle
    ├── MotionError      a motion came out as no body moves, and that was not allowed
    └── ParityError      an exported graph differs from its torch module

A message is one line: what is wrong, where, what to do. `MotionWarning` is what Python is warned
with of a motion that is doubtful.
"""

LONGEST_MESSAGE = 900
LONGEST_QUOTE = 200
"""Of what a stranger said, within a message."""


def one_line(text: object, longest: int = LONGEST_MESSAGE) -> str:
    """Return a text as it may be shown: on one line, the unprintable escaped, a long one cut.

    Names and values in messages come from files that strangers wrote.
    """
    told = _cut(" ".join(line.strip() for line in str(text).splitlines()), longest)
    if told.isprintable():
        return told
    return _cut("".join(c if c.isprintable() else ascii(c)[1:-1] for c in told), longest)


def _cut(told: str, longest: int) -> str:
    """Take the middle out of a text that is too long."""
    if len(told) <= longest:
        return told
    return f"{told[: longest * 2 // 3]} ... {told[len(told) - longest // 4 :]}"


class MotionrtError(Exception):
    """Base of the errors below; the command line prints it as one line and exits with 1."""

    def __init__(self, message: object = "") -> None:
        """Take the message, of which one printable line is kept."""
        super().__init__(one_line(message))


class InputError(MotionrtError):
    """A value, file or prompt that the caller gave is wrong."""


class BundleError(MotionrtError):
    """A bundle is missing, damaged or from another version."""


class BackendError(MotionrtError):
    """A backend that was asked for cannot run here."""


class CheckpointError(MotionrtError):
    """A checkpoint cannot be read or does not fit its config."""


class HubError(MotionrtError):
    """What a name means on a model hub cannot be fetched from there, or sent to it."""


class ExportError(MotionrtError):
    """A checkpoint was read but cannot become a bundle."""


class MotionError(MotionrtError):
    """A motion came out as no body moves, and that was not allowed (``gen --strict``)."""


class MotionWarning(UserWarning):
    """A generated motion is doubtful; ``warnings.simplefilter("error", …)`` makes it an error."""


class ParityError(MotionrtError):
    """An exported graph differs from its torch module by more than is allowed."""
