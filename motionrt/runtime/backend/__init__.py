"""What runs a graph: the protocol, and one file for each way."""

import os

# onnxruntime sends usage data, and keeps a number of the device in the user's cache folder, unless
# this is set before it is imported. Who wants that says so by setting it to 0.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
