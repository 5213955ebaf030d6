"""Triton's Python backend before the graphs: texts and seeds to tokens, noise and masks."""

import os

import triton_python_backend_utils as pb_utils

from motionrt.runtime.kimodo.triton import HostParts, as_arrays, as_tensors


class TritonPythonModel:
    """One row a request, or several: each with its own text, seed and length."""

    def initialize(self, args):
        """Read what lies beside this file."""
        self.host = HostParts(os.path.dirname(os.path.abspath(__file__)))

    def execute(self, requests):
        """Answer each request by itself: what is wrong with one does not touch the others."""
        responses = []
        for request in requests:
            try:
                made = self.host.prepare(**as_arrays(pb_utils, request, self.host.PREPARE_INPUTS))
            except Exception as error:
                failure = pb_utils.TritonError(str(error))
                responses.append(pb_utils.InferenceResponse([], error=failure))
            else:
                responses.append(pb_utils.InferenceResponse(as_tensors(pb_utils, made)))
        return responses
