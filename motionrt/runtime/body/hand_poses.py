"""Poses that hands can be put into. Light: flags list them."""

HAND_POSES = {
    "relaxed": ((5, 10, 10), (15, 20, 12), (20, 25, 15), (24, 28, 18), (28, 30, 20)),
    "flat": ((0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 0, 0)),
    "fist": ((25, 35, 45), (80, 95, 60), (82, 98, 62), (84, 98, 62), (84, 95, 60)),
    "grip": ((20, 25, 25), (50, 55, 35), (52, 57, 37), (54, 57, 37), (54, 55, 35)),
    "point": ((25, 35, 45), (4, 4, 3), (80, 95, 60), (84, 98, 62), (84, 95, 60)),
    "thumbs-up": ((0, 0, 0), (80, 95, 60), (82, 98, 62), (84, 98, 62), (84, 95, 60)),
}
"""Of thumb, index, middle, ring and little finger, how far each of the three joints is bent towards
the palm, in degrees."""
