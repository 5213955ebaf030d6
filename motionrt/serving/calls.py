"""Prompts that wait to be encoded, and embeddings that wait to be fetched.

What a client still waits for is never dropped: what does not fit is refused when it is asked for,
and encoding pauses while embeddings that nobody has fetched yet fill the room.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
import uuid
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from starlette.exceptions import HTTPException

RECENT_SECONDS = 5.0
"""While the server stops, a client is still expected for so long."""


@dataclasses.dataclass(frozen=True)
class CallLimits:
    """How much is kept."""

    calls: int = 512
    """Calls that wait or run, at once; more are refused with 503."""
    calls_of_client: int = 256
    """Those of one address; more are refused with 429."""
    waiting_bytes: int = 1 << 24
    """Prompts that wait, together; more are refused with 503."""
    results: int = 2048
    """Embeddings that are kept."""
    result_bytes: int = 1 << 25
    """Their bytes, together."""
    patience_seconds: float = 60.0
    """What its client does not ask for within this time, it has given up."""


@dataclasses.dataclass
class Call:
    """A prompt that a client at an address wants encoded; session is None outside the queue."""

    prompt: str
    client: str
    session: str | None = None
    event: str = dataclasses.field(default_factory=lambda: uuid.uuid4().hex)
    since: float = 0.0

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return len(self.prompt.encode()) + 512


@dataclasses.dataclass
class _Result:
    data: bytes
    since: float
    fetched: bool = False


class Calls:
    """Accepts calls, runs them one at a time in a thread of its own, keeps what they give.

    To be used from one event loop.
    """

    def __init__(
        self,
        encode: Callable[[str], bytes],
        limits: CallLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what turns a prompt into a file's bytes."""
        self._encode = encode
        self._limits = limits or CallLimits()
        self._clock = clock
        self._waiting: OrderedDict[str, Call] = OrderedDict()
        self._sessions: dict[str, deque[Call]] = {}
        self._clients: Counter[str] = Counter()
        self._bytes = 0
        self._running = 0
        self._results: OrderedDict[str, _Result] = OrderedDict()
        self._result_bytes = 0
        self._last_size = 0
        self._one_at_a_time = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "encoder")

    def accept(self, prompt: str, client: str, session: str | None = None) -> Call:
        """Let a call wait until its client asks for the answer; HTTPException if it cannot."""
        self._forget()
        call = Call(prompt, client, session)
        limits = self._limits
        if self._clients[client] >= limits.calls_of_client:
            raise _busy(429, "too many calls of yours wait")
        if sum(self._clients.values()) >= limits.calls:
            raise _busy(503, "too many calls wait")
        if self._bytes + call.size > limits.waiting_bytes:
            raise _busy(503, "too much text waits")
        self._put(call)
        return call

    def take(self, event: str) -> Call | None:
        """Return a call that waits outside the queue; None if there is none."""
        self._forget()
        call = self._waiting.get(event)
        return self._remove(call) if call is not None and call.session is None else None

    def take_next(self, session: str) -> Call | None:
        """Return the call of a session that has waited longest; None if there is none."""
        self._forget()
        calls = self._sessions.get(session)
        return self._remove(calls[0]) if calls else None

    def put_back(self, call: Call) -> None:
        """Let a call wait again: its client left before the answer, and may come back."""
        self._put(call, first=True)

    async def run(self, call: Call) -> tuple[str, bytes]:
        """Encode a call's prompt; return the name of the file that is kept, and its bytes.

        What encoding raises is raised here.
        """
        self._clients[call.client] += 1
        self._running += 1
        try:
            async with self._one_at_a_time:
                while not self._has_room():
                    await asyncio.sleep(0.05)
                loop = asyncio.get_running_loop()
                data = await loop.run_in_executor(self._thread, self._encode, call.prompt)
        finally:
            self._running -= 1
            self._leave(call.client)
        name = f"{uuid.uuid4().hex}.npy"
        self._results[name] = _Result(data, self._clock())
        self._result_bytes += len(data)
        self._last_size = len(data)
        return name, data

    def fetch(self, name: str) -> bytes | None:
        """Return the bytes of a file that is kept; None if there is none."""
        result = self._results.get(name)
        if result is None:
            return None
        result.fetched = True
        return result.data

    def finished(self) -> bool:
        """Return whether no call runs, and no client is about to ask for a call or a file."""
        recent = self._clock() - min(RECENT_SECONDS, self._limits.patience_seconds)
        waiting = any(call.since > recent for call in self._waiting.values())
        results = any(not r.fetched and r.since > recent for r in self._results.values())
        return not (self._running or waiting or results)

    def _put(self, call: Call, first: bool = False) -> None:
        call.since = self._clock()
        self._waiting[call.event] = call
        self._bytes += call.size
        self._clients[call.client] += 1
        if call.session is not None:
            calls = self._sessions.setdefault(call.session, deque())
            if first:
                calls.appendleft(call)
            else:
                calls.append(call)

    def _remove(self, call: Call) -> Call:
        del self._waiting[call.event]
        self._bytes -= call.size
        self._leave(call.client)
        if call.session is not None:
            calls = self._sessions[call.session]
            calls.remove(call)
            if not calls:
                del self._sessions[call.session]
        return call

    def _leave(self, client: str) -> None:
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    def _forget(self) -> None:
        """Drop the calls that their clients have given up; the oldest stand first."""
        given_up = self._clock() - self._limits.patience_seconds
        while self._waiting:
            oldest = next(iter(self._waiting.values()))
            if oldest.since > given_up:
                return
            self._remove(oldest)

    def _has_room(self) -> bool:
        """Make room for one more embedding, of what was fetched or given up; False if none is."""
        limits = self._limits
        given_up = self._clock() - limits.patience_seconds
        while self._results and (
            len(self._results) >= limits.results
            or self._result_bytes + self._last_size > limits.result_bytes
        ):
            free = (n for n, r in self._results.items() if r.fetched or r.since <= given_up)
            name = next(free, None)
            if name is None:
                return False
            self._result_bytes -= len(self._results.pop(name).data)
        return True


def _busy(status: int, why: str) -> HTTPException:
    return HTTPException(status, f"{why}; ask again later", {"Retry-After": "1"})
