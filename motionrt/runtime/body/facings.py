"""Directions over the floor by name, with their headings. Light: flags list them."""

import math

FACINGS = {"+z": 0.0, "+x": math.pi / 2, "-z": math.pi, "-x": -math.pi / 2}
"""Headings in radians about +y; 0 faces +z."""
