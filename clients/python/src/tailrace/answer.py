"""The fold of a chat's events to its answer: what is effective after lost attempts, and the proof that everything came
once. Nothing here calls a server."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from tailrace.v1 import chat_stream_pb2, content_pb2, event_pb2

TERMINAL = ("completed", "failed", "cancelled", "error")


class IntegrityError(Exception):
    """What came cannot be all of the chat once: an event is missing, came twice, or the text is not the one that the
    chat's end tells the hash of. A defect of a server or of something between."""


@dataclass(frozen=True)
class End:
    """How a chat ended."""

    status: chat_stream_pb2.ChatStreamStatus
    stop_reason: chat_stream_pb2.StopReason
    failure: chat_stream_pb2.Failure | None
    usage: chat_stream_pb2.Usage | None
    content_sha256: str
    output_json: str
    """The answer by a schema, where the request had one."""


@dataclass
class _Block:
    index: int
    kind: event_pb2.BlockKind
    sequence: int
    id: str = ""
    name: str = ""
    server: str = ""
    parts: list[tuple[int, str]] = field(default_factory=list)
    citations: list[tuple[int, content_pb2.Citation]] = field(default_factory=list)
    whole: tuple[int, content_pb2.ContentBlock] | None = None
    signature: tuple[int, str] | None = None
    incomplete: int | None = None
    """The sequence of the event that says so."""

    def text(self) -> str:
        if self.whole is not None and self.whole[1].WhichOneof("block") == "text":
            return self.whole[1].text
        return "".join(text for _, text in self.parts)

    def content(self) -> content_pb2.ContentBlock:
        made = content_pb2.ContentBlock()
        if self.whole is not None:
            made.CopyFrom(self.whole[1])
        elif self.kind == event_pb2.BLOCK_KIND_THINKING:
            made.thinking.text = self.text()
            made.thinking.signature = self.signature[1] if self.signature else ""
        elif self.kind in (event_pb2.BLOCK_KIND_TOOL_USE, event_pb2.BLOCK_KIND_SERVER_TOOL_USE):
            made.tool_use.CopyFrom(
                content_pb2.ToolUseBlock(
                    id=self.id,
                    name=self.name,
                    input=self.text(),
                    server=self.server,
                    incomplete=self.incomplete is not None,
                )
            )
        elif self.kind == event_pb2.BLOCK_KIND_TOOL_RESULT:
            made.tool_result.tool_use_id = self.id
        else:
            made.text = self.text()
        made.citations.extend(citation for _, citation in self.citations)
        return made

    def discard_after(self, sequence: int) -> None:
        self.parts = [part for part in self.parts if part[0] <= sequence]
        self.citations = [citation for citation in self.citations if citation[0] <= sequence]
        if self.whole is not None and self.whole[0] > sequence:
            self.whole = None
        if self.signature is not None and self.signature[0] > sequence:
            self.signature = None
        if self.incomplete is not None and self.incomplete > sequence:
            self.incomplete = None


class Answer:
    """What a chat has said so far. Not for use by several threads at once."""

    def __init__(self, after_sequence: int = 0) -> None:
        """Its first event is the one after `after_sequence`. From another one than 0 on it holds the rest of the text
        alone, and the hash of the whole cannot be checked."""
        self._after = after_sequence
        self._blocks: list[_Block] = []
        self._results: dict[str, content_pb2.ToolResultBlock] = {}
        self.cursor = after_sequence
        """The sequence of the last event that was taken."""
        self.usage: chat_stream_pb2.Usage | None = None
        """What the chat told last of what it used."""
        self.end: End | None = None
        """None until the terminal event has come."""

    @property
    def text(self) -> str:
        """The text so far: all effective text blocks, in order."""
        return "".join(block.text() for block in self._blocks if block.kind == event_pb2.BLOCK_KIND_TEXT)

    @property
    def content_sha256(self) -> str:
        """Lowercase hex SHA-256 of `text`."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def output(self) -> list[content_pb2.ContentBlock]:
        """The answer so far in blocks, each client tool's result behind its call: what ChatStream.output is."""
        output: list[content_pb2.ContentBlock] = []
        for block in self._blocks:
            output.append(block.content())
            result = self._results.get(block.id)
            if block.kind == event_pb2.BLOCK_KIND_TOOL_USE and result is not None:
                output.append(content_pb2.ContentBlock(tool_result=result))
        return output

    def apply(self, event: event_pb2.Event) -> None:
        """Takes the next event. Raises IntegrityError; the answer is not to be used after it."""
        if event.sequence != self.cursor + 1:
            raise IntegrityError(f"event {event.sequence} came where event {self.cursor + 1} was due")
        self.cursor = event.sequence
        case = event.WhichOneof("payload")
        if case == "attempt_started":
            self._discard_after(event.attempt_started.supersedes_after_sequence)
        elif case == "block_started":
            started = event.block_started
            self._blocks.append(
                _Block(started.index, started.kind, self.cursor, started.id, started.name, started.server)
            )
        elif case == "text_delta":
            self._add(event.text_delta.index, event_pb2.BLOCK_KIND_TEXT, event.text_delta.text)
        elif case == "thinking_delta":
            self._add(event.thinking_delta.index, event_pb2.BLOCK_KIND_THINKING, event.thinking_delta.text)
        elif case == "tool_input_delta":
            self._add(event.tool_input_delta.index, event_pb2.BLOCK_KIND_TOOL_USE, event.tool_input_delta.json)
        elif case == "citation":
            said = event.citation
            citation = content_pb2.Citation(document=said.document, quote=said.quote)
            if said.HasField("position"):
                citation.position = said.position
            self._block(said.index, event_pb2.BLOCK_KIND_TEXT).citations.append((self.cursor, citation))
        elif case == "block_stopped":
            self._stop(event.block_stopped)
        elif case == "tool_results_received":
            for result in event.tool_results_received.results:
                self._results[result.tool_use_id] = result
        elif case == "usage":
            self.usage = event.usage.usage
        elif case in TERMINAL:
            self._finish(getattr(event, case))

    def _finish(self, last: event_pb2.CompletedEvent) -> None:
        """The other terminal events have the same fields but for output_json."""
        if last.last_sequence != self.cursor:
            raise IntegrityError(
                f"the chat ended with event {self.cursor} and says that it has {last.last_sequence}"
            )
        if self._after == 0 and last.content_sha256 != self.content_sha256:
            raise IntegrityError(
                f"the text's SHA-256 is {self.content_sha256}, the chat's end says {last.content_sha256}"
            )
        if last.HasField("usage"):
            self.usage = last.usage
        self.end = End(
            status=last.status,
            stop_reason=last.stop_reason,
            failure=last.failure if last.HasField("failure") else None,
            usage=self.usage,
            content_sha256=last.content_sha256,
            output_json=getattr(last, "output_json", ""),
        )

    def _stop(self, stopped: event_pb2.BlockStoppedEvent) -> None:
        is_result = stopped.HasField("content") and stopped.content.WhichOneof("block") == "tool_result"
        block = self._block(
            stopped.index, event_pb2.BLOCK_KIND_TOOL_RESULT if is_result else event_pb2.BLOCK_KIND_TEXT
        )
        if stopped.incomplete:
            block.incomplete = self.cursor
        if stopped.HasField("content"):
            block.whole = (self.cursor, stopped.content)
        elif stopped.signature:
            block.signature = (self.cursor, stopped.signature)

    def _add(self, index: int, kind: event_pb2.BlockKind, text: str) -> None:
        self._block(index, kind).parts.append((self.cursor, text))

    def _block(self, index: int, kind: event_pb2.BlockKind) -> _Block:
        """The newest block of that index. One that began before the cursor is taken for what its event says."""
        for block in reversed(self._blocks):
            if block.index == index:
                return block
        block = _Block(index, kind, self.cursor)
        self._blocks.append(block)
        return block

    def _discard_after(self, sequence: int) -> None:
        self._blocks = [block for block in self._blocks if block.sequence <= sequence]
        for block in self._blocks:
            block.discard_after(sequence)
