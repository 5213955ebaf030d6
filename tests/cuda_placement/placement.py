"""Which graphs CUDA takes whole, so that they can be recorded, on a machine without a GPU.

    LD_LIBRARY_PATH=STAND_INS python placement.py GRAPH.onnx...

Runs where onnxruntime-gpu is installed alone, its libraries being those of ``stand_ins.py``. A
graph with a node that has no CUDA kernel is refused, with the sentence that a real GPU gives, and
its nodes are named where onnxruntime tells them. Sessions are made, never run. Exit code 1 if one
is refused.
"""

from __future__ import annotations

import sys

import onnxruntime as ort

CUDA = "CUDAExecutionProvider"


def main(paths: list[str]) -> int:
    """Print a line a graph; return how many are refused."""
    print(f"onnxruntime-gpu {ort.__version__}")
    refused = 0
    for path in paths:
        try:
            session = _session(path, {"enable_cuda_graph": "1"})
            fine = session.get_providers()[0] == CUDA
            told = "can be recorded" if fine else "CUDA did not start"
        except Exception as error:  # onnxruntime raises many kinds of its own
            fine, told = False, f"refused: {str(error).splitlines()[0]}{_elsewhere(path)}"
        refused += not fine
        print(f"{path}: {told}")
    return refused


def _session(path: str, settings: dict[str, str], told: bool = False) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if told:
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    providers = [(CUDA, settings), "CPUExecutionProvider"]
    return ort.InferenceSession(path, options, providers=providers, enable_fallback=0)


def _elsewhere(path: str) -> str:
    """Name the operators that CUDA leaves to others."""
    session = _session(path, {}, told=True)
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return ""
    parts = session.get_provider_graph_assignment_info()
    left = [node.op_type for p in parts if p.ep_name != CUDA for node in p.get_nodes()]
    return f" ({', '.join(sorted(set(left)))})"


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
