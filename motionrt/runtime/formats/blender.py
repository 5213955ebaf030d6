"""Have Blender convert between glTF and FBX, a format that no library writes without Autodesk's.

Blender is a program of its own that has to be installed; it is started without its settings, runs a
script that comes with motionrt (assets/blender/convert.py), and nothing that a file holds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

from motionrt.runtime.errors import BackendError, InputError, one_line

VARIABLE = "MOTIONRT_BLENDER"
"""Names the program where it is not on the path."""
_SECONDS = 600


def find_blender() -> str:
    """Find the program; BackendError if it is not there."""
    named = os.environ.get(VARIABLE)
    found = shutil.which(named or "blender")
    if found is None:
        where = f"{VARIABLE}={named} is no program" if named else "blender is not on the path"
        raise BackendError(
            f"FBX is made and read by Blender, and {where}; install it (blender.org, or your "
            f"system's package), or name it in {VARIABLE}"
        )
    return found


def convert_by_blender(source: Path, target: Path, fps: float = 30.0) -> None:
    """Turn .glb into .fbx or .fbx into .glb.

    fps is of a .glb; a .fbx says its own. BackendError if Blender is not there or does not end in
    ten minutes, InputError if it makes nothing of the file.
    """
    program = find_blender()
    script = resources.files("motionrt") / "assets" / "blender" / "convert.py"
    with resources.as_file(script) as place, tempfile.TemporaryDirectory() as home:
        command = [program, "-b", "--factory-startup", "--disable-autoexec"]
        command += ["--python-exit-code", "1", "-P", str(place), "--"]
        command += [str(source.resolve()), str(target.resolve()), repr(fps)]
        # Its own Python must not meet ours, nor a person's add-ons.
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith("PYTHON")
        }
        environment["BLENDER_USER_RESOURCES"] = home
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_SECONDS,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BackendError(f"{program} did not end in {_SECONDS} seconds") from None
        except OSError as error:
            raise BackendError(f"{program}: {error.strerror}") from error
    if done.returncode or not target.is_file():
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "Error" in line]
        told = one_line(lines[-1], 200) if lines else f"exit code {done.returncode}"
        raise InputError(f"Blender made nothing of it ({told})")
