"""What observing, sync and asyncio, has in common: how it is tried again, and what a frame means for it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import grpc

from tailrace.answer import Answer
from tailrace.errors import TailraceError, Unavailable, passes
from tailrace.v1 import chat_stream_pb2, chat_stream_service_pb2, event_pb2

Frame = chat_stream_service_pb2.ObserveChatStreamResponse
Metadata = Sequence[tuple[str, str]]

CHANNEL_OPTIONS: list[tuple[str, int]] = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.ping_timeout_ms", 10_000),
]
"""For grpc.insecure_channel and its like. gRPC's own backoff grows to two minutes otherwise, and a server that is back
would not be used for that long. And a connection whose other side is gone without a word is found out by pings; without
them every call goes on being put on it until TCP gives up, a quarter of an hour later."""


# By name: a newer server may have a status that is no end.
_TERMINAL = {
    chat_stream_pb2.CHAT_STREAM_STATUS_COMPLETED,
    chat_stream_pb2.CHAT_STREAM_STATUS_FAILED,
    chat_stream_pb2.CHAT_STREAM_STATUS_CANCELLED,
    chat_stream_pb2.CHAT_STREAM_STATUS_ERROR,
}


@dataclass(frozen=True)
class Resuming:
    """How an observation is kept up. Times are in seconds."""

    silence: float = 45.0
    """Without any frame for so long the connection is taken for dead. The server sends something every 15 s."""
    backoff_base: float = 0.2
    """The first wait is a random time up to this, each further one up to twice as long."""
    backoff_max: float = 10.0
    """The longest wait, but for what a server asks for."""
    give_up_after: float = 300.0
    """Without any frame for so long, over all tries, the last error is raised."""
    on_frame: Callable[[Frame], None] = field(default=lambda _: None)
    """Called with each frame as it comes, attached and heartbeat too: they tell the status and the place in the queue."""
    on_retry: Callable[[TailraceError, float], None] = field(default=lambda _error, _wait: None)
    """Called before each wait, with the error that made it necessary."""


class State:
    """Where an observation stands, over all of its connections."""

    def __init__(self, stream_id: str, after_sequence: int, resuming: Resuming) -> None:
        self.answer = Answer(after_sequence)
        self.resuming = resuming
        self.over = False
        self._stream_id = stream_id
        self._failures = 0
        self._alive = time.monotonic()

    def request(self) -> chat_stream_service_pb2.ObserveChatStreamRequest:
        return chat_stream_service_pb2.ObserveChatStreamRequest(
            stream_id=self._stream_id, after_sequence=self.answer.cursor
        )

    def take(self, frame: Frame) -> Sequence[event_pb2.Event]:
        """The events that it brings; each is to be applied to the answer before it is handed on."""
        self.resuming.on_frame(frame)
        kind = frame.WhichOneof("frame")
        if kind == "attached":
            # From the last event of a finished chat on there is none: attached says that it is over.
            finished = frame.attached.status in _TERMINAL
            self.over = finished and frame.attached.latest_sequence == self.answer.cursor
            return ()
        self._failures, self._alive = 0, time.monotonic()
        return frame.batch.events if kind == "batch" else ()

    def apply(self, event: event_pb2.Event) -> event_pb2.Event:
        self.answer.apply(event)
        self.over = self.answer.end is not None
        return event

    def wait_after(self, error: TailraceError) -> float:
        """How long to wait before the next try. Raises the error where that cannot help."""
        if not passes(error) or time.monotonic() - self._alive > self.resuming.give_up_after:
            raise error
        most = min(self.resuming.backoff_max, self.resuming.backoff_base * 2 ** min(self._failures, 20))
        self._failures += 1
        # Full jitter: many who lost the same server do not come back at once.
        wait = random.uniform(0, most) + (error.retry_after or 0)
        self.resuming.on_retry(error, wait)
        return wait


def silent() -> TailraceError:
    return Unavailable(grpc.StatusCode.UNAVAILABLE, "the connection was silent for too long")


def cut() -> TailraceError:
    return Unavailable(grpc.StatusCode.UNAVAILABLE, "the stream ended before the chat did")
