"""A bundle, loaded: what makes motions."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from ctypes import c_double, c_float, c_int32
from typing import Any

from motionrt.capi.marshalling import View, decoded, encoded, encoded_list, encoded_path
from motionrt.capi.motion import Motion, Skeleton, motions_of
from motionrt.capi.options import GenerateKeywords
from motionrt.capi.shared_library import (
    check,
    library,
    onnxruntime_version,
    packaged_onnxruntime,
)
from motionrt.capi.stream import Stream
from motionrt.capi.structures import FILE_FN, LoadOptions, PipelineInfo, Runner
from motionrt.runtime.bundle.embedded import embedded_bundle


class Pipeline:
    """``mrt_pipeline``: a bundle, loaded. One call at a time; `Busy` otherwise."""

    def __init__(
        self,
        bundle: str | os.PathLike[str] | Mapping[str, bytes] | None = None,
        *,
        threads: int = 0,
        backend: str | None = None,
        onnxruntime: str | os.PathLike[str] | None = None,
        check_hashes: bool = True,
        runner: Runner | None = None,
    ) -> None:
        """Load a bundle's folder, or its files by name; None takes the embedded default."""
        self._handle = None
        self._runner = runner  # its functions are called as long as the pipeline lives
        if (
            runner is None
            and onnxruntime is None
            and onnxruntime_version() is None
            and not os.environ.get("MOTIONRT_ONNXRUNTIME")
        ):
            onnxruntime = packaged_onnxruntime()
        options = LoadOptions(
            struct_size=ctypes.sizeof(LoadOptions),
            threads=threads,
            backend=encoded(backend),
            onnxruntime=encoded_path(onnxruntime),
            check_hashes=check_hashes,
            runner=None if runner is None else ctypes.pointer(runner),
        )
        handle = ctypes.c_void_p()
        self._files: dict[str, Any] = {}
        if isinstance(bundle, Mapping):
            # Buffers that stay where they are as long as the pipeline lives.
            self._files = {
                name: (ctypes.create_string_buffer(content, len(content)), len(content))
                for name, content in bundle.items()
            }
            self._callback = FILE_FN(self._hand_out)
            status = library().mrt_pipeline_load_files(
                self._callback, None, ctypes.byref(options), ctypes.byref(handle)
            )
        else:
            place = embedded_bundle() if bundle is None else bundle
            status = library().mrt_pipeline_load(
                encoded_path(place), ctypes.byref(options), ctypes.byref(handle)
            )
        check(status)
        self._handle = handle.value
        told = PipelineInfo(struct_size=ctypes.sizeof(PipelineInfo))
        check(library().mrt_pipeline_get_info(self._handle, ctypes.byref(told)))
        self.family, self.name = decoded(told.family), decoded(told.name)
        self.backend, self.fps = decoded(told.backend), told.fps
        self.max_frames, self.advised_seconds = told.max_frames, told.advised_seconds
        self.num_features, self.text_width = told.num_features, told.text_width
        self.has_text_encoder, self.takes_sequences = told.has_text_encoder, told.takes_sequences
        self.num_bytes, self.max_text_tokens = told.num_bytes, told.max_text_tokens
        self.num_bytes, self.streams = told.num_bytes, told.streams
        self._num_book_prompts = told.num_book_prompts
        self.skeleton = Skeleton(library().mrt_pipeline_skeleton(self._handle), self)

    def __del__(self) -> None:
        if getattr(self, "_handle", None) is not None and library is not None:
            library().mrt_pipeline_free(self._handle)

    @property
    def book_prompts(self) -> list[str]:
        """The prompts whose embeddings the bundle carries."""
        prompt = library().mrt_pipeline_book_prompt
        return [decoded(prompt(self._handle, i)) for i in range(self._num_book_prompts)]

    def embed(self, prompt: str) -> View:
        """Return a prompt's embedding, which ``embedding`` takes: (W,), of several tokens (L, W).

        A blank prompt's is zeros.
        """
        most, count = self.max_text_tokens * self.text_width, c_int32()
        row = (c_float * max(most, 1))()
        check(
            library().mrt_embed_tokens(
                self._handle, encoded(prompt), row, most, ctypes.byref(count)
            )
        )
        flat: Any = memoryview(row).cast("B").cast("f")
        if count.value < 2:
            return flat[: self.text_width]  # type: ignore[no-any-return]
        kept: Any = flat[: count.value * self.text_width].cast("B")
        tokens: View = kept.cast("f", (count.value, self.text_width))
        return tokens

    def generate(self, prompt: str, **options: Any) -> Motion:
        """Generate one motion; options are the fields of ``mrt_generate_options``."""
        made, given = ctypes.c_void_p(), GenerateKeywords(options)
        given.check(
            library().mrt_generate(
                self._handle, encoded(prompt), ctypes.byref(given.struct), ctypes.byref(made)
            )
        )
        assert made.value is not None
        return Motion(made.value)

    def generate_many(self, prompts: Sequence[str], **options: Any) -> list[Motion]:
        """Generate num_samples motions of each prompt."""
        made, given = ctypes.c_void_p(), GenerateKeywords(options)
        given.check(
            library().mrt_generate_many(
                self._handle,
                encoded_list(prompts),
                len(prompts),
                ctypes.byref(given.struct),
                ctypes.byref(made),
            )
        )
        return motions_of(made)

    def generate_sequence(
        self, prompts: Sequence[str], seconds: Sequence[float] | None = None, **options: Any
    ) -> list[Motion]:
        """Generate one motion of several prompts, num_samples of them."""
        made, given = ctypes.c_void_p(), GenerateKeywords(options)
        lengths = None if seconds is None else (c_double * len(seconds))(*seconds)
        given.check(
            library().mrt_generate_sequence(
                self._handle,
                encoded_list(prompts),
                lengths,
                len(prompts),
                ctypes.byref(given.struct),
                ctypes.byref(made),
            )
        )
        return motions_of(made)

    def generate_json(
        self,
        request: str,
        folder: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> list[Motion]:
        """Generate what a JSON request asks for; files in it are relative to folder.

        Of the options progress, continue_from, embedding with num_embedding_tokens and
        embedding_mask, first_headings_rad and noise are used.
        """
        made, given = ctypes.c_void_p(), GenerateKeywords(options)
        given.check(
            library().mrt_generate_json(
                self._handle,
                encoded(request),
                encoded_path(folder),
                ctypes.byref(given.struct),
                ctypes.byref(made),
            )
        )
        return motions_of(made)

    def stream(self, prompt: str = "", **options: Any) -> Stream:
        """Begin a stream; options are the fields of ``mrt_stream_options``."""
        return Stream(self, prompt, options)

    def _hand_out(self, _: object, name: bytes, num_bytes: Any) -> int | None:
        found = self._files.get(decoded(name))
        if found is None:
            return None
        num_bytes[0] = found[1]
        return ctypes.addressof(found[0])
