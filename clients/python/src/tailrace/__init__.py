"""Observes chats of a Tailrace server over as many connections as it takes, and folds their events to the answer.

Everything else is called by the generated stub in tailrace.v1, whose errors `as_error` reads. The asyncio form of
Observation is in tailrace.aio.
"""

from __future__ import annotations

from tailrace.answer import Answer, End, IntegrityError
from tailrace.errors import (
    AlreadyExists,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    PermissionDenied,
    ResourceExhausted,
    StreamDeleted,
    TailraceError,
    Unauthenticated,
    Unavailable,
    Violation,
    as_error,
)
from tailrace.observation import Observation
from tailrace.resuming import CHANNEL_OPTIONS, Resuming
from tailrace.v1 import chat_stream_service_pb2_grpc

__all__ = [
    "CHANNEL_OPTIONS",
    "AlreadyExists",
    "Answer",
    "DeadlineExceeded",
    "End",
    "FailedPrecondition",
    "IntegrityError",
    "InvalidArgument",
    "NotFound",
    "Observation",
    "OutOfRange",
    "PermissionDenied",
    "ResourceExhausted",
    "Resuming",
    "StreamDeleted",
    "TailraceError",
    "Unauthenticated",
    "Unavailable",
    "Violation",
    "as_error",
    "await_answer",
]


def await_answer(
    stub: chat_stream_service_pb2_grpc.ChatStreamServiceStub, stream_id: str, **options
) -> Answer:
    """Observes a chat to its end. How it ended is in the answer's `end`: a chat that failed raises nothing."""
    observation = Observation(stub, stream_id, **options)
    for _ in observation:
        pass
    return observation.answer
