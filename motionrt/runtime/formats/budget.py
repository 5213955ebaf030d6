"""How much a file may make of itself, for formats that say much in few bytes.

Readers hold what their files hold, and that is bounded by their size. But two keys can be hours of
animation, a joint without channels costs nothing in a row, and zeros pack to a thousandth. What
comes of such files is bounded here, by their size too: about 200 MB, and 500 bytes more for each
byte of the file.
"""

_FREE_POSES, _POSES_PER_BYTE, _MOST_POSES = 500_000, 2, 4_000_000
"""A pose of one joint takes about 250 bytes until the motion is made: matrices in double and
single precision, relative to the parent and in the world."""
_FREE_UNPACKED, _UNPACKED_PER_BYTE = 1 << 26, 20
"""Numbers pack to no less than a fifth; what stands still packs better."""


def most_poses(num_bytes: int) -> int:
    """Return how many poses of a joint (frames times joints) a file of a size may stand for."""
    return min(_MOST_POSES, _FREE_POSES + _POSES_PER_BYTE * num_bytes)


def most_unpacked(num_bytes: int) -> int:
    """Return to how many bytes all that is read of an archive of a size may unpack."""
    return _FREE_UNPACKED + _UNPACKED_PER_BYTE * num_bytes
