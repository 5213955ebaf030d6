"""Serve motions: a request in, motions out, at once or as a job that is watched and cancelled.

``openapi`` describes what there is to ask for; ``jobs`` has what waits and what is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from pathlib import Path
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request as HttpRequest
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from motionrt.runtime.body.motion import Motion
from motionrt.runtime.errors import InputError, MotionrtError
from motionrt.runtime.options import FILE_KINDS, MOTION_KINDS, Option
from motionrt.runtime.pipeline import Pipeline
from motionrt.runtime.request import Request
from motionrt.serving.guards import guarded
from motionrt.serving.http_server import ConnectionLimits, HttpServer
from motionrt.serving.jobs import ENDS, Job, JobLimits, Jobs, Served, State
from motionrt.serving.meters import CONTENT_TYPE, Meters
from motionrt.serving.motion_answers import (
    JSON,
    JSON_TYPE,
    MEDIA_TYPES,
    SERVED_FORMATS,
    Answer,
    Wanted,
    answer,
    check_body,
)
from motionrt.serving.openapi import bundle_document, openapi_document
from motionrt.serving.page_files import page_files

MAX_BODY_BYTES = 1 << 20
"""A request with constraints for every joint of some hundred frames fits."""
MAX_WATCHERS = 128
"""Clients that are told of a job's progress at one time."""
MAX_SENDING_BYTES = 1 << 28
"""Answers that their clients have not taken yet, together; more wait."""
BEAT_SECONDS = 10.0
EVENT_SECONDS = 0.1
"""Progress is told no oftener."""
OPEN_PATHS = ("/", "/healthz", "/readyz", "/openapi.json")
"""What is answered without a token: nothing in it is secret."""
_MOTION_OF_JOB = re.compile(r"/?v1/jobs/([0-9a-f]{32})/motions/(\d{1,6})")
Report = Callable[[str], None]


class MotionServer(HttpServer):
    """An HTTP server around pipelines."""

    def __init__(
        self,
        pipelines: Mapping[str, Pipeline],
        host: str = "127.0.0.1",
        port: int = 8780,
        *,
        page: Path | None = None,
        report: Report | None = None,
        hosts: Iterable[str] = (),
        token: str | None = None,
        limits: JobLimits | None = None,
        connection_limits: ConnectionLimits | None = None,
    ) -> None:
        """Bind the address (port 0 takes a free one); serve_forever answers.

        pipelines are served by these names, the first where nobody names one; page is a folder that
        ``motionrt web`` wrote, None for none. report is told of errors that nobody foresaw
        (the standard error stream, unless it is given); hosts and token as guarded takes them.
        BackendError if the address cannot be had.
        """
        self._app = MotionApp(pipelines, page, report, limits)
        self.app = self._app.meters.counted(
            guarded(
                self._app.routes,
                report=self._app.report,
                hosts=(host, *hosts),
                token=token,
                open_paths=(*OPEN_PATHS, *self._app.page),
                max_body_bytes=MAX_BODY_BYTES,
            )
        )
        super().__init__(self.app, host, port, connection_limits, self._app.finished)

    def serve_forever(self) -> None:
        """Answer requests as `HttpServer` does; what still runs in the end is cancelled."""
        try:
            super().serve_forever()
        finally:
            self._app.close()


class MotionApp:
    """What is asked for, and how it is answered."""

    def __init__(
        self,
        pipelines: Mapping[str, Pipeline],
        page: Path | None = None,
        report: Report | None = None,
        limits: JobLimits | None = None,
    ) -> None:
        """Take what `MotionServer` takes; InputError if page is no folder with one."""
        self.page = {} if page is None else page_files(page)
        self.report = report or (lambda line: print(line, file=sys.stderr))
        self.meters = Meters(pipelines)
        self._bundles = {name: Served(name, each) for name, each in pipelines.items()}
        self._jobs = Jobs(list(self._bundles.values()), limits, self.meters, self.report)
        told = [bundle_document(b.name, b.pipeline, self._jobs.limits) for b in self._served]
        self._told = told
        self._document = openapi_document(
            [bundle.pipeline.family for bundle in self._served], self._jobs.limits
        )
        self._watchers = 0
        self._stopping = False
        self._room = _Room(MAX_SENDING_BYTES)
        self._writers: asyncio.Semaphore | None = None

    @property
    def _served(self) -> Collection[Served]:
        return self._bundles.values()

    @property
    def routes(self) -> ASGIApp:
        """The ASGI application."""
        job, motions = "/v1/jobs/{id}", "/v1/jobs/{id}/motions"
        routes: list[BaseRoute] = [
            *(Route(place, self._show) for place in self.page or ("/",)),
            Route("/healthz", self._healthy),
            Route("/readyz", self._ready),
            Route("/metrics", self._metrics),
            Route("/openapi.json", self._openapi),
            Route("/v1/bundles", self._list),
            Route("/v1/jobs", self._begin, methods=["POST"]),
            Route(job, self._state, methods=["GET"]),
            Route(job, self._cancel, methods=["DELETE"]),
            Route(f"{job}/events", self._watch),
        ]
        for suffix in ("", ".{format}"):
            routes += [
                Route(f"/v1/motions{suffix}", self._make, methods=["POST"]),
                Route(f"{motions}/{{number}}{suffix}", self._fetch),
                Route(f"{motions}{suffix}", self._fetch),
            ]
        routes.sort(key=lambda route: "{format}" not in getattr(route, "path", ""))
        return Router(routes, redirect_slashes=False)

    def finished(self) -> bool:
        """Return whether nobody waits any more; asked once the server is told to stop."""
        self._stopping = True
        return self._jobs.finished()

    def close(self) -> None:
        """Let what still runs end soon."""
        self._jobs.close()

    # What is asked

    async def _show(self, request: HttpRequest) -> Response:
        file = self.page.get(request.url.path)
        if file is None:
            return PlainTextResponse("motionrt: POST /v1/motions; see /openapi.json\n")
        headers = {
            "Cache-Control": "no-cache",
            "Content-Security-Policy": "frame-ancestors 'none'",  # the page has the rest itself
            "Content-Type": file.media_type,
        }
        return Response(file.data, headers=headers)

    async def _healthy(self, request: HttpRequest) -> Response:
        return PlainTextResponse("ok\n")

    async def _ready(self, request: HttpRequest) -> Response:
        if self._stopping:
            raise HTTPException(503, "the server stops")
        return PlainTextResponse("ok\n")

    async def _metrics(self, request: HttpRequest) -> Response:
        return Response(self.meters.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _openapi(self, request: HttpRequest) -> Response:
        return JSONResponse(self._document)

    async def _list(self, request: HttpRequest) -> Response:
        return JSONResponse({"bundles": self._told})

    async def _make(self, request: HttpRequest) -> Response:
        """Make motions while the client waits; its leaving cancels them."""
        format = _format(request)
        with _told():
            wanted = Wanted.parse(format, request.query_params)
            bundle = self._bundle(request)
            check_body(wanted.format, bundle.pipeline.skeleton)
            job = await self._accepted(request, bundle)
        left = asyncio.create_task(_gone(request))
        ended = asyncio.create_task(job.end())
        try:
            await asyncio.wait({left, ended}, return_when=asyncio.FIRST_COMPLETED)
            if job.state not in ENDS:
                self._jobs.cancel(job)
                return Response(status_code=499)  # nobody reads it
            return await self._answer(job, wanted)
        finally:
            left.cancel()
            ended.cancel()
            if job.state in ENDS:
                self._jobs.forget(job)
            else:
                self._jobs.cancel(job)
                job.fetched = True  # nobody will: it makes room for others

    async def _begin(self, request: HttpRequest) -> Response:
        with _told():
            job = await self._accepted(request, self._bundle(request))
        return JSONResponse(
            self._job_document(job), 202, headers={"Location": f"/v1/jobs/{job.id}"}
        )

    async def _state(self, request: HttpRequest) -> Response:
        return JSONResponse(self._job_document(self._job(request)))

    async def _cancel(self, request: HttpRequest) -> Response:
        job = self._job(request)
        self._jobs.cancel(job)
        return JSONResponse(self._job_document(job))

    async def _watch(self, request: HttpRequest) -> Response:
        job = self._job(request)
        if self._watchers >= MAX_WATCHERS:
            raise HTTPException(503, "too many watch already", {"Retry-After": "5"})
        headers = {"Cache-Control": "no-store", "Connection": "close"}
        return StreamingResponse(self._events(job), headers=headers, media_type="text/event-stream")

    async def _fetch(self, request: HttpRequest) -> Response:
        format = _format(request)
        job = self._job(request)
        number = request.path_params.get("number")
        with _told():
            wanted = Wanted.parse(format, request.query_params)
            check_body(wanted.format, job.bundle.pipeline.skeleton)
        if number is not None and not (number.isdecimal() and int(number) < job.num_motions):
            raise HTTPException(404, f"no such motion; the job has {job.num_motions}")
        return await self._answer(job, wanted, None if number is None else int(number))

    # How it is answered

    def _bundle(self, request: HttpRequest) -> Served:
        name = request.query_params.get("bundle")
        if name is None:
            return next(iter(self._served))
        if name not in self._bundles:
            raise HTTPException(
                404, f"no bundle of that name; there are {', '.join(self._bundles)}"
            )
        return self._bundles[name]

    def _job(self, request: HttpRequest) -> Job:
        job = self._jobs.find(request.path_params["id"])
        if job is None:
            raise HTTPException(404, "no such job; it may have been forgotten")
        return job

    async def _accepted(self, http: HttpRequest, bundle: Served) -> Job:
        """Read a request and let it wait; InputError for what is wrong with it."""
        if self._stopping:
            raise HTTPException(503, "the server stops", {"Retry-After": "5"})
        kind = http.headers.get("content-type", JSON_TYPE).partition(";")[0].strip().lower()
        if kind != JSON_TYPE:
            raise HTTPException(415, f"a request is {JSON_TYPE}")
        body = await http.body()
        try:
            document = msgspec.json.decode(body)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise HTTPException(400, "the request is no JSON") from None
        family = bundle.pipeline.family
        if isinstance(document, dict):
            for name, value in document.items():
                if name in family.options:
                    _check_places(name, family.options[name], value)
        request = Request.from_json(document, family).with_motions(family, self._kept_motion)
        client = http.client.host if http.client else ""
        return self._jobs.accept(bundle, request, client, len(body))

    def _kept_motion(self, place: Path) -> Motion:
        """Return a motion that a request names: one of a job that is done."""
        found = _MOTION_OF_JOB.fullmatch(place.as_posix())
        assert found is not None  # as _check_places saw to
        job = self._jobs.find(found[1])
        if job is None or job.state is not State.DONE or int(found[2]) >= len(job.motions):
            raise InputError(f"{place.as_posix()}: no motion that is kept here")
        return job.motions[int(found[2])]

    async def _answer(self, job: Job, wanted: Wanted, number: int | None = None) -> Response:
        if job.state is State.FAILED:
            raise HTTPException(422 if job.is_their_fault else 500, job.error or "")
        if job.state is State.CANCELLED:
            raise HTTPException(410, "the job was cancelled")
        if job.state is not State.DONE:
            raise HTTPException(409, "the job is not done yet", {"Retry-After": "1"})
        motions = job.motions if number is None else [job.motions[number]]
        numbers = None if number is None else [number]
        more = {"bundle": job.bundle.name, "hints": job.hints}
        if self._writers is None:
            self._writers = asyncio.Semaphore(2)
        with _told():
            async with self._writers:
                made = await asyncio.to_thread(answer, motions, wanted, more, numbers)
                await self._room.take(len(made.data))
        job.fetched = True
        return _Sent(made, self._room)

    def _job_document(self, job: Job) -> dict[str, Any]:
        where = f"/v1/jobs/{job.id}"
        stage = None
        if job.stage is not None and job.state is State.RUNNING:
            name, done, total = job.stage
            stage = {"stage": name, "done": done, "total": total}
        return {
            "id": job.id,
            "bundle": job.bundle.name,
            "state": job.state.value,
            "position": self._jobs.position(job),
            "progress": stage,
            "num_motions": job.num_motions,
            "error": job.error,
            "seconds": {
                "waited": round(job.started - job.created, 3) if job.started else None,
                "ran": round(job.ended - job.started, 3) if job.started and job.ended else None,
            },
            "links": {"self": where, "events": f"{where}/events", "motions": f"{where}/motions"},
        }

    async def _events(self, job: Job) -> AsyncIterator[str]:
        """Yield the state of a job whenever it changes, until it has ended."""
        self._watchers += 1
        try:
            while True:
                changed = job.changed
                kind = job.state.value if job.state in ENDS else "progress"
                yield f"event: {kind}\ndata: {json.dumps(self._job_document(job))}\n\n"
                if job.state in ENDS:
                    return
                await asyncio.sleep(EVENT_SECONDS)
                while not changed.is_set():
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(changed.wait(), BEAT_SECONDS)
                    if not changed.is_set():
                        yield ":\n\n"
        finally:
            self._watchers -= 1


class _Room:
    """Bytes of answers that are being sent."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until so many bytes may be sent beside the others; one answer always may."""
        while self._taken and self._taken + size > self._most:
            self._freed.clear()
            await self._freed.wait()
        self._taken += size

    def give_back(self, size: int) -> None:
        self._taken -= size
        self._freed.set()


class _Sent(Response):
    """An answer that gives its room back once its client has it, or has left."""

    def __init__(self, made: Answer, room: _Room) -> None:
        disposition = f'attachment; filename="{made.file_name}"'
        headers = {"Content-Type": made.media_type, "Cache-Control": "no-store"}
        if made.media_type != JSON_TYPE:
            headers["Content-Disposition"] = disposition
        super().__init__(made.data, headers=headers)
        self._room, self._size = room, len(made.data)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._room.give_back(self._size)


def _check_places(name: str, option: Option, value: Any) -> None:
    """Refuse paths of files: strangers open none here. Motions of jobs may be named."""
    kind, ending = option.kind, option.file_ending
    if ending and isinstance(value, str) and ending in value:
        raise InputError(f"{name}: a text with {ending} may be a file; no files are opened here")
    if kind not in FILE_KINDS:
        return
    if kind not in MOTION_KINDS:
        if isinstance(value, str):
            raise InputError(f"{name}: give the list itself; no files are opened here")
        return
    for place in value if isinstance(value, list) else [value]:
        if isinstance(place, str) and not _MOTION_OF_JOB.fullmatch(place):
            raise InputError(
                f"{name}: name a motion that is kept here, as /v1/jobs/ID/motions/0; "
                "no files are opened"
            )


def _format(request: HttpRequest) -> str:
    """Return the format that is asked for by suffix, or by what the client accepts."""
    suffix = request.path_params.get("format")
    if suffix is not None:
        if suffix != JSON and suffix not in SERVED_FORMATS:
            raise HTTPException(
                404, f"no such format; there are {', '.join((JSON, *SERVED_FORMATS))}"
            )
        return str(suffix)
    by_type = {JSON_TYPE: JSON, **{media: name for name, media in MEDIA_TYPES.items()}}
    best, found = 0.0, None
    for part in request.headers.get("accept", "*/*").split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weight = float(quality)
        except ValueError:
            continue
        name = by_type.get(media.lower(), JSON if media in ("*/*", "application/*", "") else None)
        if name is not None and weight > best:
            best, found = weight, name
    if found is None:
        raise HTTPException(406, f"motions come as {', '.join(by_type)}, and others by suffix")
    return found


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Answer what is wrong with a request by 422."""
    try:
        yield
    except InputError as error:
        raise HTTPException(422, str(error)) from None
    except MotionrtError as error:
        raise HTTPException(500, str(error)) from None


async def _gone(request: HttpRequest) -> None:
    """Wait until a client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
