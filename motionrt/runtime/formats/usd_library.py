"""OpenUSD's own library, which is imported when a USD file is asked for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from motionrt.runtime.errors import BackendError
from motionrt.runtime.extras import pip_command


def pxr() -> Any:
    """Import what is used of pxr, as one namespace; BackendError if it is not installed."""
    try:
        from pxr import Gf, Kind, Sdf, Tf, Usd, UsdGeom, UsdSkel, UsdUtils, Vt
    except ImportError as error:
        raise BackendError(f"USD files need usd-core ({error}); {pip_command('usd')}") from error
    return SimpleNamespace(
        Gf=Gf,
        Kind=Kind,
        Sdf=Sdf,
        Tf=Tf,
        Usd=Usd,
        UsdGeom=UsdGeom,
        UsdSkel=UsdSkel,
        UsdUtils=UsdUtils,
        Vt=Vt,
    )
