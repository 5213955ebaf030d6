"""``python -m motionrt``, and the ``motionrt`` program: the command line."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is loaded ends it as quietly as later."""
    try:
        from motionrt.cli.main import main as command_line
    except KeyboardInterrupt:
        if sys.stderr is not None:
            print("Stopped.", file=sys.stderr)
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
