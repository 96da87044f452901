import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from tailrace.v1 import content_pb2 as _content_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ToolChoiceMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOOL_CHOICE_MODE_UNSPECIFIED: _ClassVar[ToolChoiceMode]
    TOOL_CHOICE_MODE_AUTO: _ClassVar[ToolChoiceMode]
    TOOL_CHOICE_MODE_ANY: _ClassVar[ToolChoiceMode]
    TOOL_CHOICE_MODE_NONE: _ClassVar[ToolChoiceMode]
    TOOL_CHOICE_MODE_NAMED: _ClassVar[ToolChoiceMode]

class ThinkingEffort(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    THINKING_EFFORT_UNSPECIFIED: _ClassVar[ThinkingEffort]
    THINKING_EFFORT_LOW: _ClassVar[ThinkingEffort]
    THINKING_EFFORT_MEDIUM: _ClassVar[ThinkingEffort]
    THINKING_EFFORT_HIGH: _ClassVar[ThinkingEffort]
TOOL_CHOICE_MODE_UNSPECIFIED: ToolChoiceMode
TOOL_CHOICE_MODE_AUTO: ToolChoiceMode
TOOL_CHOICE_MODE_ANY: ToolChoiceMode
TOOL_CHOICE_MODE_NONE: ToolChoiceMode
TOOL_CHOICE_MODE_NAMED: ToolChoiceMode
THINKING_EFFORT_UNSPECIFIED: ThinkingEffort
THINKING_EFFORT_LOW: ThinkingEffort
THINKING_EFFORT_MEDIUM: ThinkingEffort
THINKING_EFFORT_HIGH: ThinkingEffort

class ChatRequest(_message.Message):
    __slots__ = ("messages", "model", "stream", "tools", "tool_choice", "tool_context", "mcp_servers", "response_format", "system", "thinking", "priority", "seed", "min_p", "top_p", "temperature", "top_k", "repetition_penalty", "presence_penalty", "frequency_penalty", "max_tokens", "stop", "correlation_id", "metadata", "limits", "strict")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    MESSAGES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    TOOL_CHOICE_FIELD_NUMBER: _ClassVar[int]
    TOOL_CONTEXT_FIELD_NUMBER: _ClassVar[int]
    MCP_SERVERS_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    THINKING_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MIN_P_FIELD_NUMBER: _ClassVar[int]
    TOP_P_FIELD_NUMBER: _ClassVar[int]
    TEMPERATURE_FIELD_NUMBER: _ClassVar[int]
    TOP_K_FIELD_NUMBER: _ClassVar[int]
    REPETITION_PENALTY_FIELD_NUMBER: _ClassVar[int]
    PRESENCE_PENALTY_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_PENALTY_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    messages: _containers.RepeatedCompositeFieldContainer[_content_pb2.Message]
    model: str
    stream: bool
    tools: _containers.RepeatedCompositeFieldContainer[Tool]
    tool_choice: ToolChoice
    tool_context: _containers.RepeatedCompositeFieldContainer[ToolContextItem]
    mcp_servers: _containers.RepeatedCompositeFieldContainer[McpServer]
    response_format: ResponseFormat
    system: System
    thinking: Thinking
    priority: int
    seed: int
    min_p: float
    top_p: float
    temperature: float
    top_k: int
    repetition_penalty: float
    presence_penalty: float
    frequency_penalty: float
    max_tokens: int
    stop: _containers.RepeatedScalarFieldContainer[str]
    correlation_id: str
    metadata: _containers.ScalarMap[str, str]
    limits: Limits
    strict: bool
    def __init__(self, messages: _Optional[_Iterable[_Union[_content_pb2.Message, _Mapping]]] = ..., model: _Optional[str] = ..., stream: _Optional[bool] = ..., tools: _Optional[_Iterable[_Union[Tool, _Mapping]]] = ..., tool_choice: _Optional[_Union[ToolChoice, _Mapping]] = ..., tool_context: _Optional[_Iterable[_Union[ToolContextItem, _Mapping]]] = ..., mcp_servers: _Optional[_Iterable[_Union[McpServer, _Mapping]]] = ..., response_format: _Optional[_Union[ResponseFormat, _Mapping]] = ..., system: _Optional[_Union[System, _Mapping]] = ..., thinking: _Optional[_Union[Thinking, _Mapping]] = ..., priority: _Optional[int] = ..., seed: _Optional[int] = ..., min_p: _Optional[float] = ..., top_p: _Optional[float] = ..., temperature: _Optional[float] = ..., top_k: _Optional[int] = ..., repetition_penalty: _Optional[float] = ..., presence_penalty: _Optional[float] = ..., frequency_penalty: _Optional[float] = ..., max_tokens: _Optional[int] = ..., stop: _Optional[_Iterable[str]] = ..., correlation_id: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., strict: _Optional[bool] = ...) -> None: ...

class Tool(_message.Message):
    __slots__ = ("client", "server")
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    client: ClientTool
    server: ServerTool
    def __init__(self, client: _Optional[_Union[ClientTool, _Mapping]] = ..., server: _Optional[_Union[ServerTool, _Mapping]] = ...) -> None: ...

class ClientTool(_message.Message):
    __slots__ = ("name", "description", "input_schema")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    INPUT_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    input_schema: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., input_schema: _Optional[str] = ...) -> None: ...

class ServerTool(_message.Message):
    __slots__ = ("name", "max_uses")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MAX_USES_FIELD_NUMBER: _ClassVar[int]
    name: str
    max_uses: int
    def __init__(self, name: _Optional[str] = ..., max_uses: _Optional[int] = ...) -> None: ...

class ToolChoice(_message.Message):
    __slots__ = ("mode", "name", "parallel")
    MODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PARALLEL_FIELD_NUMBER: _ClassVar[int]
    mode: ToolChoiceMode
    name: str
    parallel: bool
    def __init__(self, mode: _Optional[_Union[ToolChoiceMode, str]] = ..., name: _Optional[str] = ..., parallel: _Optional[bool] = ...) -> None: ...

class ToolContextItem(_message.Message):
    __slots__ = ("name", "description", "document", "database", "table", "data")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    TABLE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    document: _content_pb2.DocumentBlock
    database: Database
    table: Table
    data: str
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., document: _Optional[_Union[_content_pb2.DocumentBlock, _Mapping]] = ..., database: _Optional[_Union[Database, _Mapping]] = ..., table: _Optional[_Union[Table, _Mapping]] = ..., data: _Optional[str] = ...) -> None: ...

class Database(_message.Message):
    __slots__ = ("connection_string", "schemas", "tables")
    CONNECTION_STRING_FIELD_NUMBER: _ClassVar[int]
    SCHEMAS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    connection_string: str
    schemas: _containers.RepeatedScalarFieldContainer[str]
    tables: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, connection_string: _Optional[str] = ..., schemas: _Optional[_Iterable[str]] = ..., tables: _Optional[_Iterable[str]] = ...) -> None: ...

class Table(_message.Message):
    __slots__ = ("format", "data")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    format: str
    data: str
    def __init__(self, format: _Optional[str] = ..., data: _Optional[str] = ...) -> None: ...

class McpServer(_message.Message):
    __slots__ = ("name", "url", "headers", "bearer_token", "oauth_client_credentials", "allowed_tools", "timeout", "required")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    URL_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BEARER_TOKEN_FIELD_NUMBER: _ClassVar[int]
    OAUTH_CLIENT_CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_TOOLS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    name: str
    url: str
    headers: _containers.ScalarMap[str, str]
    bearer_token: str
    oauth_client_credentials: OAuthClientCredentials
    allowed_tools: _containers.RepeatedScalarFieldContainer[str]
    timeout: _duration_pb2.Duration
    required: bool
    def __init__(self, name: _Optional[str] = ..., url: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ..., bearer_token: _Optional[str] = ..., oauth_client_credentials: _Optional[_Union[OAuthClientCredentials, _Mapping]] = ..., allowed_tools: _Optional[_Iterable[str]] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., required: _Optional[bool] = ...) -> None: ...

class OAuthClientCredentials(_message.Message):
    __slots__ = ("token_url", "client_id", "client_secret", "scopes")
    TOKEN_URL_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    CLIENT_SECRET_FIELD_NUMBER: _ClassVar[int]
    SCOPES_FIELD_NUMBER: _ClassVar[int]
    token_url: str
    client_id: str
    client_secret: str
    scopes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, token_url: _Optional[str] = ..., client_id: _Optional[str] = ..., client_secret: _Optional[str] = ..., scopes: _Optional[_Iterable[str]] = ...) -> None: ...

class ResponseFormat(_message.Message):
    __slots__ = ("text", "json_schema", "tool")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    JSON_SCHEMA_FIELD_NUMBER: _ClassVar[int]
    TOOL_FIELD_NUMBER: _ClassVar[int]
    text: TextFormat
    json_schema: JsonSchemaFormat
    tool: ToolFormat
    def __init__(self, text: _Optional[_Union[TextFormat, _Mapping]] = ..., json_schema: _Optional[_Union[JsonSchemaFormat, _Mapping]] = ..., tool: _Optional[_Union[ToolFormat, _Mapping]] = ...) -> None: ...

class TextFormat(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class JsonSchemaFormat(_message.Message):
    __slots__ = ("name", "schema", "strict")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SCHEMA_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    name: str
    schema: str
    strict: bool
    def __init__(self, name: _Optional[str] = ..., schema: _Optional[str] = ..., strict: _Optional[bool] = ...) -> None: ...

class ToolFormat(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class System(_message.Message):
    __slots__ = ("text", "use_default_prompt", "citations", "guidelines")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    USE_DEFAULT_PROMPT_FIELD_NUMBER: _ClassVar[int]
    CITATIONS_FIELD_NUMBER: _ClassVar[int]
    GUIDELINES_FIELD_NUMBER: _ClassVar[int]
    text: str
    use_default_prompt: bool
    citations: Citations
    guidelines: str
    def __init__(self, text: _Optional[str] = ..., use_default_prompt: _Optional[bool] = ..., citations: _Optional[_Union[Citations, _Mapping]] = ..., guidelines: _Optional[str] = ...) -> None: ...

class Citations(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: _Optional[bool] = ...) -> None: ...

class Thinking(_message.Message):
    __slots__ = ("enabled", "effort", "budget_tokens", "best_effort")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    EFFORT_FIELD_NUMBER: _ClassVar[int]
    BUDGET_TOKENS_FIELD_NUMBER: _ClassVar[int]
    BEST_EFFORT_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    effort: ThinkingEffort
    budget_tokens: int
    best_effort: bool
    def __init__(self, enabled: _Optional[bool] = ..., effort: _Optional[_Union[ThinkingEffort, str]] = ..., budget_tokens: _Optional[int] = ..., best_effort: _Optional[bool] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("run_timeout", "first_token_timeout", "idle_timeout", "max_turns", "max_model_calls", "max_total_tokens")
    RUN_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    FIRST_TOKEN_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    IDLE_TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    MAX_TURNS_FIELD_NUMBER: _ClassVar[int]
    MAX_MODEL_CALLS_FIELD_NUMBER: _ClassVar[int]
    MAX_TOTAL_TOKENS_FIELD_NUMBER: _ClassVar[int]
    run_timeout: _duration_pb2.Duration
    first_token_timeout: _duration_pb2.Duration
    idle_timeout: _duration_pb2.Duration
    max_turns: int
    max_model_calls: int
    max_total_tokens: int
    def __init__(self, run_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., first_token_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., idle_timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., max_turns: _Optional[int] = ..., max_model_calls: _Optional[int] = ..., max_total_tokens: _Optional[int] = ...) -> None: ...
