"""Pictures of motions: contact sheets, animations, videos and a self-contained HTML player."""

from motionrt.viewer.animation import write_gif, write_webp
from motionrt.viewer.html import write_html
from motionrt.viewer.sheet import draw_sheet, write_sheet
from motionrt.viewer.video import write_video

__all__ = ["draw_sheet", "write_gif", "write_html", "write_sheet", "write_video", "write_webp"]
