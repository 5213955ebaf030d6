"""Let two paths change places at once, where the system can."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""Of Linux's renameat2; RENAME_SWAP of macOS's renamex_np has the same number."""
_CANNOT = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}


def exchange(first: Path, second: Path) -> bool:
    """Swap two files or folders of one file system; at no moment does either name stand for none.

    False, with nothing changed, where the system (Windows) or the file system has no such call;
    OSError if it fails for another reason.
    """
    import ctypes

    if sys.platform == "win32":
        return False
    library = ctypes.CDLL(None, use_errno=True)
    a, b = os.fsencode(first), os.fsencode(second)
    flag = ctypes.c_uint(_RENAME_EXCHANGE)
    if hasattr(library, "renameat2"):
        result = library.renameat2(_AT_FDCWD, a, _AT_FDCWD, b, flag)
    elif hasattr(library, "renamex_np"):
        result = library.renamex_np(a, b, flag)
    else:
        return False
    if result == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(second))
