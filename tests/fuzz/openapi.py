"""Derive requests from the OpenAPI document of `motionrt serve`, and look for answers of 500.

    pipx install schemathesis
    python tests/fuzz/openapi.py [--examples 40] [--schemathesis st]

schemathesis stands outside our extras: it brings twenty packages and a plugin that pytest would
load in every run, and a run takes minutes. What a test can see in a moment (that document and
answers fit) is in tests/serving/test_motions.py.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance"
)


def main() -> int:
    """Serve the embedded default and run schemathesis on it; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=40, help="requests an operation and phase")
    parser.add_argument("--schemathesis", default="schemathesis", help="its command")
    options = parser.parse_args()
    limits = ["--max-seconds", "2", "--max-samples", "3", "--max-steps", "4"]
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "motionrt", "serve", "--port", "0", *limits],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = re.search(r"http://\S+", server.stdout.readline())
        assert url is not None
        command = [options.schemathesis, "run", f"{url[0]}openapi.json", "--checks", CHECKS]
        command += ["--max-examples", str(options.examples), "--request-timeout", "60"]
        return subprocess.run(command).returncode
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(120)


if __name__ == "__main__":
    sys.exit(main())
