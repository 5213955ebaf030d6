"""Pictures of motions: contact sheets, animated GIFs and a self-contained HTML player."""

from motionrt.viewer.gif import write_gif
from motionrt.viewer.html import write_html
from motionrt.viewer.sheet import draw_sheet, write_sheet

__all__ = ["draw_sheet", "write_gif", "write_html", "write_sheet"]
