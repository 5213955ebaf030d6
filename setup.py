"""Refuses a Python that is too old, at once; everything else is in pyproject.toml.

The pip that comes with Python 3.10 reads requires-python of a local folder only after it has tried
older and older versions of what the folder depends on, for minutes.
"""

import sys

from setuptools import setup

if sys.version_info < (3, 11):  # noqa: UP036, older ones run this file too
    sys.exit(f"motionrt needs Python 3.11 or newer; this is {sys.version.split()[0]}")
setup()
