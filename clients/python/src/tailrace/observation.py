"""Observing a chat from a thread, over as many connections as it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import grpc

from tailrace.answer import Answer
from tailrace.errors import TailraceError, as_error
from tailrace.resuming import Metadata, Resuming, State, cut, silent
from tailrace.v1 import chat_stream_service_pb2_grpc, event_pb2


class Observation:
    """One observer of a chat. Iterating yields each event once, in order, until the terminal one, over as many
    connections as it takes; iterated again it goes on behind the last event that was yielded.

    Raises what cannot be helped by going on: a TailraceError, or an IntegrityError. Leaving does not cancel the chat.
    """

    def __init__(
        self,
        stub: chat_stream_service_pb2_grpc.ChatStreamServiceStub,
        stream_id: str,
        *,
        after_sequence: int = 0,
        resuming: Resuming = Resuming(),
        metadata: Callable[[], Metadata] = lambda: (),
    ) -> None:
        """`after_sequence` begins behind that event. `metadata` is asked before each connection, so that a token may be
        renewed: `lambda: [("authorization", f"Bearer {token()}")]`."""
        self._stub = stub
        self._metadata = metadata
        self._state = State(stream_id, after_sequence, resuming)
        self._left = threading.Event()
        self._call: grpc.Call | None = None

    @property
    def answer(self) -> Answer:
        """What the events so far come to, what lost attempts had said left out."""
        return self._state.answer

    def leave(self) -> None:
        """Ends the iteration, from any thread; the chat goes on."""
        self._left.set()
        if (call := self._call) is not None:
            call.cancel()

    def __iter__(self) -> Iterator[event_pb2.Event]:
        while not self._state.over and not self._left.is_set():
            try:
                yield from self._attach()
                error = cut()
            except TailraceError as failed:
                error = failed
            if not self._state.over and not self._left.is_set():
                self._left.wait(self._state.wait_after(error))

    def _attach(self) -> Iterator[event_pb2.Event]:
        call = self._stub.ObserveChatStream(self._state.request(), metadata=self._metadata())
        self._call = call
        if self._left.is_set():
            call.cancel()
        watchdog = _Watchdog(self._state.resuming.silence, call.cancel)
        try:
            while True:
                # It runs only while the server is waited for: a reader that takes its time is no silence.
                with watchdog:
                    frame = next(call, None)
                if frame is None:
                    return
                for event in self._state.take(frame):
                    yield self._state.apply(event)
                    if self._state.over or self._left.is_set():
                        return
        except grpc.RpcError as error:
            raise silent() if watchdog.fired else as_error(error) from error
        finally:
            watchdog.close()
            call.cancel()


class _Watchdog:
    """Calls `bite` where a `with` takes too long. One thread for a connection, which sleeps."""

    def __init__(self, seconds: float, bite: Callable[[], object]) -> None:
        self.fired = False
        self._seconds = seconds
        self._bite = bite
        self._condition = threading.Condition()
        self._deadline: float | None = None
        self._closed = False
        threading.Thread(target=self._run, name="tailrace-silence", daemon=True).start()

    def __enter__(self) -> None:
        with self._condition:
            waiting = self._deadline is None
            self._deadline = time.monotonic() + self._seconds
            if waiting:
                self._condition.notify()

    def __exit__(self, *_: object) -> None:
        with self._condition:
            self._deadline = None

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify()

    def _run(self) -> None:
        with self._condition:
            while not self._closed:
                left = None if self._deadline is None else self._deadline - time.monotonic()
                if left is not None and left <= 0:
                    self.fired = True
                    break
                self._condition.wait(left)
        if self.fired:
            self._bite()
