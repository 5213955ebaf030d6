"""The names of the orders that files may have things in, for options and messages."""

QUATERNION_ORDERS = ("wxyz", "xyzw")
JOINT_ORDERS = ("mujoco", "isaac")
"""Of G1's joints: depth first (mjlab) or breadth first (BeyondMimic) over the tree of links."""
