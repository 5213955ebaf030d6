"""``python -m motionrt``: the command line."""

from motionrt.cli.main import main

if __name__ == "__main__":
    main()
