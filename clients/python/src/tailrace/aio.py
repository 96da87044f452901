"""Observing a chat with asyncio, over as many connections as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import grpc

from tailrace.answer import Answer
from tailrace.errors import TailraceError, as_error
from tailrace.resuming import Metadata, Resuming, State, cut, silent
from tailrace.v1 import chat_stream_service_pb2_grpc, event_pb2


class Observation:
    """As tailrace.Observation, for a stub on a grpc.aio channel: `async for event in Observation(stub, stream_id)`.
    Cancelling the task leaves; the chat goes on."""

    def __init__(
        self,
        stub: chat_stream_service_pb2_grpc.ChatStreamServiceStub,
        stream_id: str,
        *,
        after_sequence: int = 0,
        resuming: Resuming = Resuming(),
        metadata: Callable[[], Metadata] = lambda: (),
    ) -> None:
        """See tailrace.Observation."""
        self._stub = stub
        self._metadata = metadata
        self._state = State(stream_id, after_sequence, resuming)

    @property
    def answer(self) -> Answer:
        """What the events so far come to, what lost attempts had said left out."""
        return self._state.answer

    async def __aiter__(self) -> AsyncIterator[event_pb2.Event]:
        while not self._state.over:
            call = self._stub.ObserveChatStream(self._state.request(), metadata=tuple(self._metadata()))
            try:
                while (frame := await self._next(call)) is not None:
                    for event in self._state.take(frame):
                        yield self._state.apply(event)
                        if self._state.over:
                            return
                error = cut()
            except TailraceError as failed:
                error = failed
            finally:
                call.cancel()
            if not self._state.over:
                await asyncio.sleep(self._state.wait_after(error))

    async def _next(self, call: grpc.aio.UnaryStreamCall):
        """None at the stream's end."""
        try:
            # Only while the server is waited for: a reader that takes its time is no silence.
            # asyncio.wait_for of Python 3.11 loses a cancel that comes together with a frame.
            async with asyncio.timeout(self._state.resuming.silence):
                frame = await call.read()
        except TimeoutError as error:
            raise silent() from error
        except grpc.RpcError as error:
            raise as_error(error) from error
        return None if frame is grpc.aio.EOF else frame


async def await_answer(
    stub: chat_stream_service_pb2_grpc.ChatStreamServiceStub, stream_id: str, **options
) -> Answer:
    """Observes a chat to its end. How it ended is in the answer's `end`: a chat that failed raises nothing."""
    observation = Observation(stub, stream_id, **options)
    async for _ in observation:
        pass
    return observation.answer
