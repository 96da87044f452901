import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tailrace.v1 import chat_request_pb2 as _chat_request_pb2
from tailrace.v1 import chat_stream_pb2 as _chat_stream_pb2
from tailrace.v1 import content_pb2 as _content_pb2
from tailrace.v1 import event_pb2 as _event_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AttachMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ATTACH_MODE_UNSPECIFIED: _ClassVar[AttachMode]
    ATTACH_MODE_FULL: _ClassVar[AttachMode]
    ATTACH_MODE_SUFFIX: _ClassVar[AttachMode]
ATTACH_MODE_UNSPECIFIED: AttachMode
ATTACH_MODE_FULL: AttachMode
ATTACH_MODE_SUFFIX: AttachMode

class InitiateChatStreamRequest(_message.Message):
    __slots__ = ("stream_id", "request", "await_tool_results", "ttl")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    AWAIT_TOOL_RESULTS_FIELD_NUMBER: _ClassVar[int]
    TTL_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    request: _chat_request_pb2.ChatRequest
    await_tool_results: bool
    ttl: _duration_pb2.Duration
    def __init__(self, stream_id: _Optional[str] = ..., request: _Optional[_Union[_chat_request_pb2.ChatRequest, _Mapping]] = ..., await_tool_results: _Optional[bool] = ..., ttl: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class InitiateChatStreamResponse(_message.Message):
    __slots__ = ("stream_id", "status", "message", "created", "chat_stream")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CREATED_FIELD_NUMBER: _ClassVar[int]
    CHAT_STREAM_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    status: _chat_stream_pb2.ChatStreamStatus
    message: str
    created: bool
    chat_stream: _chat_stream_pb2.ChatStream
    def __init__(self, stream_id: _Optional[str] = ..., status: _Optional[_Union[_chat_stream_pb2.ChatStreamStatus, str]] = ..., message: _Optional[str] = ..., created: _Optional[bool] = ..., chat_stream: _Optional[_Union[_chat_stream_pb2.ChatStream, _Mapping]] = ...) -> None: ...

class ObserveChatStreamRequest(_message.Message):
    __slots__ = ("stream_id", "after_sequence")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    after_sequence: int
    def __init__(self, stream_id: _Optional[str] = ..., after_sequence: _Optional[int] = ...) -> None: ...

class ObserveChatStreamResponse(_message.Message):
    __slots__ = ("attached", "batch", "heartbeat", "stored_time", "sent_time")
    ATTACHED_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    STORED_TIME_FIELD_NUMBER: _ClassVar[int]
    SENT_TIME_FIELD_NUMBER: _ClassVar[int]
    attached: Attached
    batch: _event_pb2.EventBatch
    heartbeat: Heartbeat
    stored_time: _timestamp_pb2.Timestamp
    sent_time: _timestamp_pb2.Timestamp
    def __init__(self, attached: _Optional[_Union[Attached, _Mapping]] = ..., batch: _Optional[_Union[_event_pb2.EventBatch, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., stored_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., sent_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Attached(_message.Message):
    __slots__ = ("mode", "earliest_sequence", "latest_sequence", "status", "attempt", "queue_position")
    MODE_FIELD_NUMBER: _ClassVar[int]
    EARLIEST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LATEST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    mode: AttachMode
    earliest_sequence: int
    latest_sequence: int
    status: _chat_stream_pb2.ChatStreamStatus
    attempt: int
    queue_position: int
    def __init__(self, mode: _Optional[_Union[AttachMode, str]] = ..., earliest_sequence: _Optional[int] = ..., latest_sequence: _Optional[int] = ..., status: _Optional[_Union[_chat_stream_pb2.ChatStreamStatus, str]] = ..., attempt: _Optional[int] = ..., queue_position: _Optional[int] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("latest_sequence", "status", "queue_position")
    LATEST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_POSITION_FIELD_NUMBER: _ClassVar[int]
    latest_sequence: int
    status: _chat_stream_pb2.ChatStreamStatus
    queue_position: int
    def __init__(self, latest_sequence: _Optional[int] = ..., status: _Optional[_Union[_chat_stream_pb2.ChatStreamStatus, str]] = ..., queue_position: _Optional[int] = ...) -> None: ...

class GetChatStreamRequest(_message.Message):
    __slots__ = ("stream_id", "view")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    view: _chat_stream_pb2.ChatStreamView
    def __init__(self, stream_id: _Optional[str] = ..., view: _Optional[_Union[_chat_stream_pb2.ChatStreamView, str]] = ...) -> None: ...

class GetChatStreamResponse(_message.Message):
    __slots__ = ("chat_stream",)
    CHAT_STREAM_FIELD_NUMBER: _ClassVar[int]
    chat_stream: _chat_stream_pb2.ChatStream
    def __init__(self, chat_stream: _Optional[_Union[_chat_stream_pb2.ChatStream, _Mapping]] = ...) -> None: ...

class WaitChatStreamRequest(_message.Message):
    __slots__ = ("stream_id", "view", "timeout")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    view: _chat_stream_pb2.ChatStreamView
    timeout: _duration_pb2.Duration
    def __init__(self, stream_id: _Optional[str] = ..., view: _Optional[_Union[_chat_stream_pb2.ChatStreamView, str]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class WaitChatStreamResponse(_message.Message):
    __slots__ = ("chat_stream",)
    CHAT_STREAM_FIELD_NUMBER: _ClassVar[int]
    chat_stream: _chat_stream_pb2.ChatStream
    def __init__(self, chat_stream: _Optional[_Union[_chat_stream_pb2.ChatStream, _Mapping]] = ...) -> None: ...

class ListChatStreamsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "statuses", "correlation_id", "metadata", "created_after", "created_before")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATUSES_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    CREATED_AFTER_FIELD_NUMBER: _ClassVar[int]
    CREATED_BEFORE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    statuses: _containers.RepeatedScalarFieldContainer[_chat_stream_pb2.ChatStreamStatus]
    correlation_id: str
    metadata: _containers.ScalarMap[str, str]
    created_after: _timestamp_pb2.Timestamp
    created_before: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., statuses: _Optional[_Iterable[_Union[_chat_stream_pb2.ChatStreamStatus, str]]] = ..., correlation_id: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., created_after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., created_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListChatStreamsResponse(_message.Message):
    __slots__ = ("chat_streams", "next_page_token")
    CHAT_STREAMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    chat_streams: _containers.RepeatedCompositeFieldContainer[_chat_stream_pb2.ChatStream]
    next_page_token: str
    def __init__(self, chat_streams: _Optional[_Iterable[_Union[_chat_stream_pb2.ChatStream, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class CancelChatStreamRequest(_message.Message):
    __slots__ = ("stream_id", "reason")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    reason: str
    def __init__(self, stream_id: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CancelChatStreamResponse(_message.Message):
    __slots__ = ("chat_stream",)
    CHAT_STREAM_FIELD_NUMBER: _ClassVar[int]
    chat_stream: _chat_stream_pb2.ChatStream
    def __init__(self, chat_stream: _Optional[_Union[_chat_stream_pb2.ChatStream, _Mapping]] = ...) -> None: ...

class DeleteChatStreamRequest(_message.Message):
    __slots__ = ("stream_id",)
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    def __init__(self, stream_id: _Optional[str] = ...) -> None: ...

class DeleteChatStreamResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SubmitToolResultsRequest(_message.Message):
    __slots__ = ("stream_id", "results")
    STREAM_ID_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    stream_id: str
    results: _containers.RepeatedCompositeFieldContainer[_content_pb2.ToolResultBlock]
    def __init__(self, stream_id: _Optional[str] = ..., results: _Optional[_Iterable[_Union[_content_pb2.ToolResultBlock, _Mapping]]] = ...) -> None: ...

class SubmitToolResultsResponse(_message.Message):
    __slots__ = ("chat_stream",)
    CHAT_STREAM_FIELD_NUMBER: _ClassVar[int]
    chat_stream: _chat_stream_pb2.ChatStream
    def __init__(self, chat_stream: _Optional[_Union[_chat_stream_pb2.ChatStream, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "aliases", "is_default", "capabilities", "context_tokens", "max_output_tokens", "unread_fields", "fallbacks", "prices", "parallel_calls")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    IS_DEFAULT_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    UNREAD_FIELDS_FIELD_NUMBER: _ClassVar[int]
    FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    is_default: bool
    capabilities: ModelCapabilities
    context_tokens: int
    max_output_tokens: int
    unread_fields: _containers.RepeatedScalarFieldContainer[str]
    fallbacks: _containers.RepeatedScalarFieldContainer[str]
    prices: ModelPrices
    parallel_calls: int
    def __init__(self, name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., is_default: _Optional[bool] = ..., capabilities: _Optional[_Union[ModelCapabilities, _Mapping]] = ..., context_tokens: _Optional[int] = ..., max_output_tokens: _Optional[int] = ..., unread_fields: _Optional[_Iterable[str]] = ..., fallbacks: _Optional[_Iterable[str]] = ..., prices: _Optional[_Union[ModelPrices, _Mapping]] = ..., parallel_calls: _Optional[int] = ...) -> None: ...

class ModelPrices(_message.Message):
    __slots__ = ("currency", "input", "cached_input", "output")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    currency: str
    input: float
    cached_input: float
    output: float
    def __init__(self, currency: _Optional[str] = ..., input: _Optional[float] = ..., cached_input: _Optional[float] = ..., output: _Optional[float] = ...) -> None: ...

class ModelCapabilities(_message.Message):
    __slots__ = ("tools", "parallel_tools", "json_schema", "reasoning", "images", "documents")
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_TOOLS_FIELD_NUMBER: _ClassVar[int]
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    DOCUMENTS_FIELD_NUMBER: _ClassVar[int]
    tools: bool
    parallel_tools: bool
    json_schema: bool
    reasoning: bool
    images: bool
    documents: bool
    def __init__(self, tools: _Optional[bool] = ..., parallel_tools: _Optional[bool] = ..., json_schema: _Optional[bool] = ..., reasoning: _Optional[bool] = ..., images: _Optional[bool] = ..., documents: _Optional[bool] = ...) -> None: ...
