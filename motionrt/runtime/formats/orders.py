"""The names of the ways in which files may have things, for options and messages."""

QUATERNION_ORDERS = ("wxyz", "xyzw")
HINGE_ANGLES = ("kimodo", "mujoco")
"""Of G1's CSV: as Kimodo's exporter reads them, or those that pose MuJoCo's robot as it stands."""
JOINT_ORDERS = ("mujoco", "isaac")
"""Of G1's joints: depth first (mjlab) or breadth first (BeyondMimic) over the tree of links."""
