"""``python -m motionrt``, and the programs ``motionrt`` and ``kimodo_gen``: the command line."""

import sys
from collections.abc import Callable


def main() -> None:
    """Run the command line."""

    def run() -> None:
        from motionrt.cli.main import main as command_line

        command_line()

    _quietly(run)


def kimodo_gen() -> None:
    """Run ``motionrt gen`` as Kimodo's own command, with its defaults."""

    def run() -> None:
        from motionrt.cli.main import kimodo_gen as command_line

        command_line()

    _quietly(run)


def _quietly(run: Callable[[], None]) -> None:
    """Have Ctrl-C while the command line is loaded end it as quietly as later."""
    try:
        run()
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print("Stopped.", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
