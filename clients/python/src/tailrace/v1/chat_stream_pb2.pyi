import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tailrace.v1 import chat_request_pb2 as _chat_request_pb2
from tailrace.v1 import content_pb2 as _content_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChatStreamStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHAT_STREAM_STATUS_UNSPECIFIED: _ClassVar[ChatStreamStatus]
    CHAT_STREAM_STATUS_PENDING: _ClassVar[ChatStreamStatus]
    CHAT_STREAM_STATUS_PROCESSING: _ClassVar[ChatStreamStatus]
    CHAT_STREAM_STATUS_COMPLETED: _ClassVar[ChatStreamStatus]
    CHAT_STREAM_STATUS_FAILED: _ClassVar[ChatStreamStatus]
    CHAT_STREAM_STATUS_CANCELLED: _ClassVar[ChatStreamStatus]
    CHAT_STREAM_STATUS_ERROR: _ClassVar[ChatStreamStatus]

class ChatStreamView(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHAT_STREAM_VIEW_UNSPECIFIED: _ClassVar[ChatStreamView]
    CHAT_STREAM_VIEW_BASIC: _ClassVar[ChatStreamView]
    CHAT_STREAM_VIEW_FULL: _ClassVar[ChatStreamView]

class StopReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    STOP_REASON_UNSPECIFIED: _ClassVar[StopReason]
    STOP_REASON_END_TURN: _ClassVar[StopReason]
    STOP_REASON_MAX_TOKENS: _ClassVar[StopReason]
    STOP_REASON_STOP_SEQUENCE: _ClassVar[StopReason]
    STOP_REASON_TOOL_USE: _ClassVar[StopReason]
    STOP_REASON_REFUSAL: _ClassVar[StopReason]
    STOP_REASON_CONTENT_FILTER: _ClassVar[StopReason]
    STOP_REASON_TURN_LIMIT: _ClassVar[StopReason]
    STOP_REASON_BUDGET: _ClassVar[StopReason]

class FailureReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FAILURE_REASON_UNSPECIFIED: _ClassVar[FailureReason]
    FAILURE_REASON_UPSTREAM_UNAVAILABLE: _ClassVar[FailureReason]
    FAILURE_REASON_UPSTREAM_RATE_LIMITED: _ClassVar[FailureReason]
    FAILURE_REASON_UPSTREAM_REJECTED: _ClassVar[FailureReason]
    FAILURE_REASON_UPSTREAM_UNAUTHENTICATED: _ClassVar[FailureReason]
    FAILURE_REASON_UPSTREAM_CUT: _ClassVar[FailureReason]
    FAILURE_REASON_UPSTREAM_INVALID: _ClassVar[FailureReason]
    FAILURE_REASON_EMPTY_ANSWER: _ClassVar[FailureReason]
    FAILURE_REASON_CONTEXT_OVERFLOW: _ClassVar[FailureReason]
    FAILURE_REASON_FIRST_TOKEN_TIMEOUT: _ClassVar[FailureReason]
    FAILURE_REASON_IDLE_TIMEOUT: _ClassVar[FailureReason]
    FAILURE_REASON_RUN_TIMEOUT: _ClassVar[FailureReason]
    FAILURE_REASON_CLIENT_TOOL_TIMEOUT: _ClassVar[FailureReason]
    FAILURE_REASON_SCHEMA_NOT_MET: _ClassVar[FailureReason]
    FAILURE_REASON_TOOL_CHOICE_NOT_MET: _ClassVar[FailureReason]
    FAILURE_REASON_MCP_SERVER_UNAVAILABLE: _ClassVar[FailureReason]
    FAILURE_REASON_OUTPUT_TOO_LARGE: _ClassVar[FailureReason]
    FAILURE_REASON_ATTEMPTS_EXHAUSTED: _ClassVar[FailureReason]
    FAILURE_REASON_START_DEADLINE_EXCEEDED: _ClassVar[FailureReason]
    FAILURE_REASON_LOG_UNAVAILABLE: _ClassVar[FailureReason]
    FAILURE_REASON_INTERNAL: _ClassVar[FailureReason]
CHAT_STREAM_STATUS_UNSPECIFIED: ChatStreamStatus
CHAT_STREAM_STATUS_PENDING: ChatStreamStatus
CHAT_STREAM_STATUS_PROCESSING: ChatStreamStatus
CHAT_STREAM_STATUS_COMPLETED: ChatStreamStatus
CHAT_STREAM_STATUS_FAILED: ChatStreamStatus
CHAT_STREAM_STATUS_CANCELLED: ChatStreamStatus
CHAT_STREAM_STATUS_ERROR: ChatStreamStatus
CHAT_STREAM_VIEW_UNSPECIFIED: ChatStreamView
CHAT_STREAM_VIEW_BASIC: ChatStreamView
CHAT_STREAM_VIEW_FULL: ChatStreamView
STOP_REASON_UNSPECIFIED: StopReason
STOP_REASON_END_TURN: StopReason
STOP_REASON_MAX_TOKENS: StopReason
STOP_REASON_STOP_SEQUENCE: StopReason
STOP_REASON_TOOL_USE: StopReason
STOP_REASON_REFUSAL: StopReason
STOP_REASON_CONTENT_FILTER: StopReason
STOP_REASON_TURN_LIMIT: StopReason
STOP_REASON_BUDGET: StopReason
FAILURE_REASON_UNSPECIFIED: FailureReason
FAILURE_REASON_UPSTREAM_UNAVAILABLE: FailureReason
FAILURE_REASON_UPSTREAM_RATE_LIMITED: FailureReason
FAILURE_REASON_UPSTREAM_REJECTED: FailureReason
FAILURE_REASON_UPSTREAM_UNAUTHENTICATED: FailureReason
FAILURE_REASON_UPSTREAM_CUT: FailureReason
FAILURE_REASON_UPSTREAM_INVALID: FailureReason
FAILURE_REASON_EMPTY_ANSWER: FailureReason
FAILURE_REASON_CONTEXT_OVERFLOW: FailureReason
FAILURE_REASON_FIRST_TOKEN_TIMEOUT: FailureReason
FAILURE_REASON_IDLE_TIMEOUT: FailureReason
FAILURE_REASON_RUN_TIMEOUT: FailureReason
FAILURE_REASON_CLIENT_TOOL_TIMEOUT: FailureReason
FAILURE_REASON_SCHEMA_NOT_MET: FailureReason
FAILURE_REASON_TOOL_CHOICE_NOT_MET: FailureReason
FAILURE_REASON_MCP_SERVER_UNAVAILABLE: FailureReason
FAILURE_REASON_OUTPUT_TOO_LARGE: FailureReason
FAILURE_REASON_ATTEMPTS_EXHAUSTED: FailureReason
FAILURE_REASON_START_DEADLINE_EXCEEDED: FailureReason
FAILURE_REASON_LOG_UNAVAILABLE: FailureReason
FAILURE_REASON_INTERNAL: FailureReason

class Failure(_message.Message):
    __slots__ = ("reason", "message", "retryable")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    reason: FailureReason
    message: str
    retryable: bool
    def __init__(self, reason: _Optional[_Union[FailureReason, str]] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...

class Usage(_message.Message):
    __slots__ = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_input_tokens", "model_calls", "cost", "currency")
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    REASONING_TOKENS_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MODEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cached_input_tokens: int
    model_calls: int
    cost: float
    currency: str
    def __init__(self, input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., reasoning_tokens: _Optional[int] = ..., cached_input_tokens: _Optional[int] = ..., model_calls: _Optional[int] = ..., cost: _Optional[float] = ..., currency: _Optional[str] = ...) -> None: ...

class ChatStream(_message.Message):
    __slots__ = ("stream_id", "status", "model", "priority", "correlation_id", "metadata", "created_at", "started_at", "ended_at", "expires_at", "attempt", "latest_sequence", "queue_position", "stop_reason", "usage", "failure", "pending_tool_uses", "output", "content_sha256", "request", "output_truncated", "output_json")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    LATEST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PENDING_TOOL_USES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_JSON_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    status: ChatStreamStatus
    model: str
    priority: int
    correlation_id: str
    metadata: _containers.ScalarMap[str, str]
    created_at: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    expires_at: _timestamp_pb2.Timestamp
    attempt: int
    latest_sequence: int
    queue_position: int
    stop_reason: StopReason
    usage: Usage
    failure: Failure
    pending_tool_uses: _containers.RepeatedCompositeFieldContainer[_content_pb2.ToolUseBlock]
    output: _containers.RepeatedCompositeFieldContainer[_content_pb2.ContentBlock]
    content_sha256: str
    request: _chat_request_pb2.ChatRequest
    output_truncated: bool
    output_json: str
    def __init__(self, stream_id: _Optional[str] = ..., status: _Optional[_Union[ChatStreamStatus, str]] = ..., model: _Optional[str] = ..., priority: _Optional[int] = ..., correlation_id: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., latest_sequence: _Optional[int] = ..., queue_position: _Optional[int] = ..., stop_reason: _Optional[_Union[StopReason, str]] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., pending_tool_uses: _Optional[_Iterable[_Union[_content_pb2.ToolUseBlock, _Mapping]]] = ..., output: _Optional[_Iterable[_Union[_content_pb2.ContentBlock, _Mapping]]] = ..., content_sha256: _Optional[str] = ..., request: _Optional[_Union[_chat_request_pb2.ChatRequest, _Mapping]] = ..., output_truncated: _Optional[bool] = ..., output_json: _Optional[str] = ...) -> None: ...
