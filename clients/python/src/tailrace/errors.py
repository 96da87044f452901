"""What a call was refused for, read out of the google.rpc details that come with gRPC's status."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from google.rpc import error_details_pb2, status_pb2

_DOMAIN = "tailrace.dev"


@dataclass(frozen=True)
class Violation:
    """One broken rule of a request: the field's path, and what would be right."""

    field: str
    description: str


class TailraceError(Exception):
    """A call's error with its details. `__cause__` is gRPC's own."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.reason = ""
        """ErrorReason without its prefix, for example CURSOR_BEYOND_END; empty where Tailrace did not say it: the error
        is then the network's, or something's between."""
        self.metadata: dict[str, str] = {}
        self.violations: list[Violation] = []
        self.retry_after: float | None = None
        """How many seconds to wait before the call is repeated; None where nothing was said."""

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.code.name}{reason}: {self.message}"


class InvalidArgument(TailraceError):
    """The request breaks a rule; `violations` names each."""


class NotFound(TailraceError):
    """No such stream for this caller."""


class StreamDeleted(NotFound):
    """The stream was deleted while it was observed."""


class AlreadyExists(TailraceError):
    """The stream id is taken."""


class FailedPrecondition(TailraceError):
    """The stream's state forbids it."""


class OutOfRange(TailraceError):
    """The cursor is out of range; `metadata` says what there is."""


class ResourceExhausted(TailraceError):
    """A quota or limit is reached."""


class Unauthenticated(TailraceError):
    """No or a wrong token."""


class PermissionDenied(TailraceError):
    """The token does not have the right."""


class Unavailable(TailraceError):
    """Not available now; safe to repeat, InitiateChatStream with the same stream_id."""


class DeadlineExceeded(TailraceError):
    """The caller's own timeout is over."""


_BY_CODE: dict[grpc.StatusCode, type[TailraceError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRange,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
}

# What the network or something between says, and not Tailrace.
_PASSES = {
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}


def as_error(error: grpc.RpcError) -> TailraceError:
    """Reads the details of the error of any call, sync or asyncio: `raise as_error(e) from e`."""
    code: grpc.StatusCode = error.code()  # type: ignore[attr-defined]
    message: str = error.details() or ""  # type: ignore[attr-defined]
    details = _details(error)
    info = error_details_pb2.ErrorInfo()
    for detail in details:
        if detail.Is(info.DESCRIPTOR):
            detail.Unpack(info)
    ours = info.domain == _DOMAIN
    kind = _BY_CODE.get(code, TailraceError)
    made = (StreamDeleted if ours and info.reason == "STREAM_DELETED" else kind)(code, message)
    made.__cause__ = error
    if ours:
        made.reason, made.metadata = info.reason, dict(info.metadata)
    for detail in details:
        if detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            made.violations = [Violation(v.field, v.description) for v in bad.field_violations]
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            made.retry_after = retry.retry_delay.ToTimedelta().total_seconds()
    return made


def _details(error: grpc.RpcError) -> list:
    trailing = error.trailing_metadata() or ()  # type: ignore[attr-defined]
    for key, value in trailing:
        if key == "grpc-status-details-bin":
            return list(status_pb2.Status.FromString(value).details)
    return []


def passes(error: TailraceError) -> bool:
    """Whether observing again may help. What Tailrace itself says is final, unless it says when to come again or that
    it is away; what the network says is not."""
    if error.code == grpc.StatusCode.UNAVAILABLE or error.retry_after is not None:
        return True
    return error.code in _PASSES and error.reason == ""
