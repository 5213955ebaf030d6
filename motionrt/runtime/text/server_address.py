"""Addresses of servers that are asked for something."""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, urlsplit

from motionrt.runtime.errors import InputError


def checked_address(url: str, what: str) -> str:
    """Return a server's address with a slash at its end; InputError if it is none.

    what names it, in the error.
    """
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        parts.port  # noqa: B018 - it is parsed now, and may be none
    except ValueError:
        parts = SplitResult("", "", "", "", "")
    strange = not url.isprintable() or " " in url or parts.query or parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or strange:
        raise InputError(f"{what} URL {url!r}: expected http://host:port/")
    if parts.username is not None or parts.password is not None:
        raise InputError(f"{what} URL: holds a name or a password; give a token instead")
    return parts.geturl().rstrip("/") + "/"


def is_loopback(url: str) -> bool:
    """Return whether a checked address is one of this machine's own."""
    host = urlsplit(url).hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
