"""What a server of motions counts, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
_MOTIONS = (1, 2, 4, 8, 16, 32)
OUTCOMES = ("done", "failed", "cancelled", "refused")


class Meters:
    """Counters of one server."""

    def __init__(self, bundles: Iterable[str]) -> None:
        """Begin at zero for each bundle."""
        of_bundle = ("bundle",)
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)

        def gauge(name: str, told: str) -> Gauge:
            return Gauge(f"motionrt_{name}", told, of_bundle, registry=registry)

        def histogram(name: str, told: str, buckets: Sequence[float] = _SECONDS) -> Histogram:
            return Histogram(
                f"motionrt_{name}", told, of_bundle, buckets=buckets, registry=registry
            )

        def counter(name: str, told: str, labels: Sequence[str] = of_bundle) -> Counter:
            return Counter(f"motionrt_{name}", told, labels, registry=registry)

        self._jobs = counter("jobs", "Requests by what became of them", ("bundle", "outcome"))
        self._waiting = gauge("jobs_waiting", "Requests that wait")
        self._running = gauge("jobs_running", "Requests that run")
        self._batches = histogram("batch_motions", "Motions that share a batch", _MOTIONS)
        self._waited = histogram("wait_seconds", "From a request to its start")
        self._ran = histogram("run_seconds", "From a request's start to its end")
        self._made = counter("motion_seconds", "Length of the motions that were made")
        self._responses = counter("http_responses", "Answers by status", ("code",))
        self._kept = Gauge(
            "motionrt_kept_bytes", "Taken by requests and results that are kept", registry=registry
        )
        for bundle in bundles:
            for gauged in (self._waiting, self._running):
                gauged.labels(bundle)
            for observed in (self._batches, self._waited, self._ran):
                observed.labels(bundle)
            self._made.labels(bundle)
            for outcome in OUTCOMES:
                self._jobs.labels(bundle, outcome)

    def waiting(self, bundle: str, count: int) -> None:
        """Note how many requests wait."""
        self._waiting.labels(bundle).set(count)

    def waited(self, bundle: str, seconds: float) -> None:
        """Note how long a request that starts has waited."""
        self._waited.labels(bundle).observe(seconds)

    def began(self, bundle: str, motions: int, requests: int) -> None:
        """Note a batch of so many motions; none: the last one has ended."""
        self._running.labels(bundle).set(requests)
        if motions:
            self._batches.labels(bundle).observe(motions)

    def made(self, bundle: str, motion_seconds: float, seconds: float) -> None:
        """Note what a request made, and in what time."""
        self._made.labels(bundle).inc(motion_seconds)
        self._ran.labels(bundle).observe(seconds)

    def ended(self, bundle: str, outcome: str) -> None:
        """Count a request by what became of it."""
        self._jobs.labels(bundle, outcome).inc()

    def kept(self, size: int) -> None:
        """Note how many bytes are kept."""
        self._kept.set(size)

    def counted(self, app: ASGIApp) -> ASGIApp:
        """Return an application that counts another's answers by status."""

        async def count(scope: Scope, receive: Receive, send: Send) -> None:
            async def watch(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._responses.labels(str(message["status"])).inc()
                await send(message)

            await app(scope, receive, watch)

        return count

    def text(self) -> bytes:
        """Return all figures in Prometheus's text format."""
        return generate_latest(self._registry)
