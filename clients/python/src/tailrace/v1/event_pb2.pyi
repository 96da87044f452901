import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tailrace.v1 import chat_stream_pb2 as _chat_stream_pb2
from tailrace.v1 import content_pb2 as _content_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BlockKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BLOCK_KIND_UNSPECIFIED: _ClassVar[BlockKind]
    BLOCK_KIND_TEXT: _ClassVar[BlockKind]
    BLOCK_KIND_THINKING: _ClassVar[BlockKind]
    BLOCK_KIND_TOOL_USE: _ClassVar[BlockKind]
    BLOCK_KIND_SERVER_TOOL_USE: _ClassVar[BlockKind]
    BLOCK_KIND_TOOL_RESULT: _ClassVar[BlockKind]

class WarningReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    WARNING_REASON_UNSPECIFIED: _ClassVar[WarningReason]
    WARNING_REASON_PARAMETER_NOT_SUPPORTED: _ClassVar[WarningReason]
    WARNING_REASON_THINKING_NOT_SUPPORTED: _ClassVar[WarningReason]
    WARNING_REASON_MCP_SERVER_UNAVAILABLE: _ClassVar[WarningReason]
    WARNING_REASON_MODEL_FALLBACK: _ClassVar[WarningReason]
    WARNING_REASON_MCP_TOOL_LEFT_OUT: _ClassVar[WarningReason]
    WARNING_REASON_EMBEDDINGS_UNAVAILABLE: _ClassVar[WarningReason]
BLOCK_KIND_UNSPECIFIED: BlockKind
BLOCK_KIND_TEXT: BlockKind
BLOCK_KIND_THINKING: BlockKind
BLOCK_KIND_TOOL_USE: BlockKind
BLOCK_KIND_SERVER_TOOL_USE: BlockKind
BLOCK_KIND_TOOL_RESULT: BlockKind
WARNING_REASON_UNSPECIFIED: WarningReason
WARNING_REASON_PARAMETER_NOT_SUPPORTED: WarningReason
WARNING_REASON_THINKING_NOT_SUPPORTED: WarningReason
WARNING_REASON_MCP_SERVER_UNAVAILABLE: WarningReason
WARNING_REASON_MODEL_FALLBACK: WarningReason
WARNING_REASON_MCP_TOOL_LEFT_OUT: WarningReason
WARNING_REASON_EMBEDDINGS_UNAVAILABLE: WarningReason

class EventBatch(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("sequence", "attempt", "time", "correlation_id", "started", "attempt_started", "block_started", "text_delta", "thinking_delta", "tool_input_delta", "citation", "block_stopped", "tool_results_requested", "tool_results_received", "usage", "warning", "completed", "failed", "cancelled", "error", "tool_progress")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_STARTED_FIELD_NUMBER: _ClassVar[int]
    BLOCK_STARTED_FIELD_NUMBER: _ClassVar[int]
    TEXT_DELTA_FIELD_NUMBER: _ClassVar[int]
    THINKING_DELTA_FIELD_NUMBER: _ClassVar[int]
    TOOL_INPUT_DELTA_FIELD_NUMBER: _ClassVar[int]
    CITATION_FIELD_NUMBER: _ClassVar[int]
    BLOCK_STOPPED_FIELD_NUMBER: _ClassVar[int]
    TOOL_RESULTS_REQUESTED_FIELD_NUMBER: _ClassVar[int]
    TOOL_RESULTS_RECEIVED_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    CANCELLED_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    TOOL_PROGRESS_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    attempt: int
    time: _timestamp_pb2.Timestamp
    correlation_id: str
    started: StartedEvent
    attempt_started: AttemptStartedEvent
    block_started: BlockStartedEvent
    text_delta: TextDeltaEvent
    thinking_delta: ThinkingDeltaEvent
    tool_input_delta: ToolInputDeltaEvent
    citation: CitationEvent
    block_stopped: BlockStoppedEvent
    tool_results_requested: ToolResultsRequestedEvent
    tool_results_received: ToolResultsReceivedEvent
    usage: UsageEvent
    warning: WarningEvent
    completed: CompletedEvent
    failed: FailedEvent
    cancelled: CancelledEvent
    error: ErrorEvent
    tool_progress: ToolProgressEvent
    def __init__(self, sequence: _Optional[int] = ..., attempt: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., correlation_id: _Optional[str] = ..., started: _Optional[_Union[StartedEvent, _Mapping]] = ..., attempt_started: _Optional[_Union[AttemptStartedEvent, _Mapping]] = ..., block_started: _Optional[_Union[BlockStartedEvent, _Mapping]] = ..., text_delta: _Optional[_Union[TextDeltaEvent, _Mapping]] = ..., thinking_delta: _Optional[_Union[ThinkingDeltaEvent, _Mapping]] = ..., tool_input_delta: _Optional[_Union[ToolInputDeltaEvent, _Mapping]] = ..., citation: _Optional[_Union[CitationEvent, _Mapping]] = ..., block_stopped: _Optional[_Union[BlockStoppedEvent, _Mapping]] = ..., tool_results_requested: _Optional[_Union[ToolResultsRequestedEvent, _Mapping]] = ..., tool_results_received: _Optional[_Union[ToolResultsReceivedEvent, _Mapping]] = ..., usage: _Optional[_Union[UsageEvent, _Mapping]] = ..., warning: _Optional[_Union[WarningEvent, _Mapping]] = ..., completed: _Optional[_Union[CompletedEvent, _Mapping]] = ..., failed: _Optional[_Union[FailedEvent, _Mapping]] = ..., cancelled: _Optional[_Union[CancelledEvent, _Mapping]] = ..., error: _Optional[_Union[ErrorEvent, _Mapping]] = ..., tool_progress: _Optional[_Union[ToolProgressEvent, _Mapping]] = ...) -> None: ...

class StartedEvent(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class AttemptStartedEvent(_message.Message):
    __slots__ = ("supersedes_after_sequence",)
    SUPERSEDES_AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    supersedes_after_sequence: int
    def __init__(self, supersedes_after_sequence: _Optional[int] = ...) -> None: ...

class BlockStartedEvent(_message.Message):
    __slots__ = ("index", "kind", "turn", "id", "name", "server")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TURN_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    index: int
    kind: BlockKind
    turn: int
    id: str
    name: str
    server: str
    def __init__(self, index: _Optional[int] = ..., kind: _Optional[_Union[BlockKind, str]] = ..., turn: _Optional[int] = ..., id: _Optional[str] = ..., name: _Optional[str] = ..., server: _Optional[str] = ...) -> None: ...

class TextDeltaEvent(_message.Message):
    __slots__ = ("index", "text")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    index: int
    text: str
    def __init__(self, index: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class ThinkingDeltaEvent(_message.Message):
    __slots__ = ("index", "text")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    index: int
    text: str
    def __init__(self, index: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class ToolInputDeltaEvent(_message.Message):
    __slots__ = ("index", "json")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    index: int
    json: str
    def __init__(self, index: _Optional[int] = ..., json: _Optional[str] = ...) -> None: ...

class CitationEvent(_message.Message):
    __slots__ = ("index", "document", "quote", "position")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    QUOTE_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    index: int
    document: str
    quote: str
    position: int
    def __init__(self, index: _Optional[int] = ..., document: _Optional[str] = ..., quote: _Optional[str] = ..., position: _Optional[int] = ...) -> None: ...

class BlockStoppedEvent(_message.Message):
    __slots__ = ("index", "content", "signature", "incomplete")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FIELD_NUMBER: _ClassVar[int]
    index: int
    content: _content_pb2.ContentBlock
    signature: str
    incomplete: bool
    def __init__(self, index: _Optional[int] = ..., content: _Optional[_Union[_content_pb2.ContentBlock, _Mapping]] = ..., signature: _Optional[str] = ..., incomplete: _Optional[bool] = ...) -> None: ...

class ToolResultsRequestedEvent(_message.Message):
    __slots__ = ("tool_uses", "deadline")
    TOOL_USES_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_FIELD_NUMBER: _ClassVar[int]
    tool_uses: _containers.RepeatedCompositeFieldContainer[_content_pb2.ToolUseBlock]
    deadline: _timestamp_pb2.Timestamp
    def __init__(self, tool_uses: _Optional[_Iterable[_Union[_content_pb2.ToolUseBlock, _Mapping]]] = ..., deadline: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ToolResultsReceivedEvent(_message.Message):
    __slots__ = ("results",)
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[_content_pb2.ToolResultBlock]
    def __init__(self, results: _Optional[_Iterable[_Union[_content_pb2.ToolResultBlock, _Mapping]]] = ...) -> None: ...

class ToolProgressEvent(_message.Message):
    __slots__ = ("index", "tool_use_id", "progress", "total", "message")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    TOOL_USE_ID_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    index: int
    tool_use_id: str
    progress: float
    total: float
    message: str
    def __init__(self, index: _Optional[int] = ..., tool_use_id: _Optional[str] = ..., progress: _Optional[float] = ..., total: _Optional[float] = ..., message: _Optional[str] = ...) -> None: ...

class UsageEvent(_message.Message):
    __slots__ = ("usage",)
    USAGE_FIELD_NUMBER: _ClassVar[int]
    usage: _chat_stream_pb2.Usage
    def __init__(self, usage: _Optional[_Union[_chat_stream_pb2.Usage, _Mapping]] = ...) -> None: ...

class WarningEvent(_message.Message):
    __slots__ = ("reason", "message", "field")
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    reason: WarningReason
    message: str
    field: str
    def __init__(self, reason: _Optional[_Union[WarningReason, str]] = ..., message: _Optional[str] = ..., field: _Optional[str] = ...) -> None: ...

class CompletedEvent(_message.Message):
    __slots__ = ("status", "stop_reason", "usage", "failure", "last_sequence", "content_sha256", "output_json")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_JSON_FIELD_NUMBER: _ClassVar[int]
    status: _chat_stream_pb2.ChatStreamStatus
    stop_reason: _chat_stream_pb2.StopReason
    usage: _chat_stream_pb2.Usage
    failure: _chat_stream_pb2.Failure
    last_sequence: int
    content_sha256: str
    output_json: str
    def __init__(self, status: _Optional[_Union[_chat_stream_pb2.ChatStreamStatus, str]] = ..., stop_reason: _Optional[_Union[_chat_stream_pb2.StopReason, str]] = ..., usage: _Optional[_Union[_chat_stream_pb2.Usage, _Mapping]] = ..., failure: _Optional[_Union[_chat_stream_pb2.Failure, _Mapping]] = ..., last_sequence: _Optional[int] = ..., content_sha256: _Optional[str] = ..., output_json: _Optional[str] = ...) -> None: ...

class FailedEvent(_message.Message):
    __slots__ = ("status", "stop_reason", "usage", "failure", "last_sequence", "content_sha256")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    status: _chat_stream_pb2.ChatStreamStatus
    stop_reason: _chat_stream_pb2.StopReason
    usage: _chat_stream_pb2.Usage
    failure: _chat_stream_pb2.Failure
    last_sequence: int
    content_sha256: str
    def __init__(self, status: _Optional[_Union[_chat_stream_pb2.ChatStreamStatus, str]] = ..., stop_reason: _Optional[_Union[_chat_stream_pb2.StopReason, str]] = ..., usage: _Optional[_Union[_chat_stream_pb2.Usage, _Mapping]] = ..., failure: _Optional[_Union[_chat_stream_pb2.Failure, _Mapping]] = ..., last_sequence: _Optional[int] = ..., content_sha256: _Optional[str] = ...) -> None: ...

class CancelledEvent(_message.Message):
    __slots__ = ("status", "stop_reason", "usage", "failure", "last_sequence", "content_sha256", "reason")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    status: _chat_stream_pb2.ChatStreamStatus
    stop_reason: _chat_stream_pb2.StopReason
    usage: _chat_stream_pb2.Usage
    failure: _chat_stream_pb2.Failure
    last_sequence: int
    content_sha256: str
    reason: str
    def __init__(self, status: _Optional[_Union[_chat_stream_pb2.ChatStreamStatus, str]] = ..., stop_reason: _Optional[_Union[_chat_stream_pb2.StopReason, str]] = ..., usage: _Optional[_Union[_chat_stream_pb2.Usage, _Mapping]] = ..., failure: _Optional[_Union[_chat_stream_pb2.Failure, _Mapping]] = ..., last_sequence: _Optional[int] = ..., content_sha256: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class ErrorEvent(_message.Message):
    __slots__ = ("status", "stop_reason", "usage", "failure", "last_sequence", "content_sha256")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CONTENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    status: _chat_stream_pb2.ChatStreamStatus
    stop_reason: _chat_stream_pb2.StopReason
    usage: _chat_stream_pb2.Usage
    failure: _chat_stream_pb2.Failure
    last_sequence: int
    content_sha256: str
    def __init__(self, status: _Optional[_Union[_chat_stream_pb2.ChatStreamStatus, str]] = ..., stop_reason: _Optional[_Union[_chat_stream_pb2.StopReason, str]] = ..., usage: _Optional[_Union[_chat_stream_pb2.Usage, _Mapping]] = ..., failure: _Optional[_Union[_chat_stream_pb2.Failure, _Mapping]] = ..., last_sequence: _Optional[int] = ..., content_sha256: _Optional[str] = ...) -> None: ...
