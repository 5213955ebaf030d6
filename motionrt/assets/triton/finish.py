"""Triton's Python backend behind the graphs: clips are cleaned up and cut to their length."""

import os

import triton_python_backend_utils as pb_utils

from motionrt.runtime.kimodo.triton import HostParts, as_arrays, as_tensors


class TritonPythonModel:
    """One row a motion."""

    def initialize(self, args):
        """Read what lies beside this file."""
        self.host = HostParts(os.path.dirname(os.path.abspath(__file__)))

    def execute(self, requests):
        """Answer each request by itself."""
        responses = []
        for request in requests:
            try:
                made = self.host.finish(as_arrays(pb_utils, request, self.host.finish_inputs))
            except Exception as error:
                failure = pb_utils.TritonError(str(error))
                responses.append(pb_utils.InferenceResponse([], error=failure))
            else:
                responses.append(pb_utils.InferenceResponse(as_tensors(pb_utils, made)))
        return responses
