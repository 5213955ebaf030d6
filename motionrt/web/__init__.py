"""Pages that generate motions in the browser, and the npm module that they are made of."""

from motionrt.web.site import write_site

__all__ = ["write_site"]
