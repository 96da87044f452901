"""A server that serves one attachment after the other, each as its function says."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from tailrace.v1 import chat_stream_pb2, chat_stream_service_pb2 as service, chat_stream_service_pb2_grpc, event_pb2

COMPLETED = chat_stream_pb2.CHAT_STREAM_STATUS_COMPLETED
TEXT = "one two three"


def chat() -> list[event_pb2.Event]:
    delta = lambda sequence, text: event_pb2.Event(sequence=sequence, text_delta={"index": 0, "text": text})
    return [
        event_pb2.Event(sequence=1, started={}),
        event_pb2.Event(sequence=2, block_started={"index": 0, "kind": event_pb2.BLOCK_KIND_TEXT}),
        delta(3, "one "),
        delta(4, "two "),
        delta(5, "three"),
        event_pb2.Event(
            sequence=6,
            completed={
                "status": COMPLETED,
                "last_sequence": 6,
                "content_sha256": hashlib.sha256(TEXT.encode()).hexdigest(),
            },
        ),
    ]


Attachment = Callable[[grpc.ServicerContext], Iterator[service.ObserveChatStreamResponse]]


def frames(after: int, until: int) -> Iterator[service.ObserveChatStreamResponse]:
    yield service.ObserveChatStreamResponse(attached={"latest_sequence": 6, "status": COMPLETED})
    if after < until:
        yield service.ObserveChatStreamResponse(batch={"events": chat()[after:until]})


def refusal(code: grpc.StatusCode, reason: str = "", retry: float = 0) -> Callable[[grpc.ServicerContext], None]:
    def abort(context: grpc.ServicerContext) -> None:
        if reason == "":
            context.abort(code, "gone")
        said = status_pb2.Status(code=code.value[0], message="said")
        details = [
            error_details_pb2.ErrorInfo(domain="tailrace.dev", reason=reason, metadata={"stream_id": "s"}),
            error_details_pb2.BadRequest(field_violations=[{"field": "a.b", "description": "no"}]),
        ]
        if retry:
            details.append(error_details_pb2.RetryInfo())
            details[-1].retry_delay.FromMilliseconds(int(retry * 1000))
        for detail in details:
            packed = any_pb2.Any()
            packed.Pack(detail)
            said.details.append(packed)
        context.set_trailing_metadata((("grpc-status-details-bin", said.SerializeToString()),))
        context.abort(code, "said")

    return abort


def send(after: int, until: int, then: Callable[[grpc.ServicerContext], None] = lambda _: None) -> Attachment:
    def attachment(context: grpc.ServicerContext) -> Iterator[service.ObserveChatStreamResponse]:
        yield from frames(after, until)
        then(context)

    return attachment


class Script(chat_stream_service_pb2_grpc.ChatStreamServiceServicer):
    def __init__(self, attachments: list[Attachment]) -> None:
        self.attachments = attachments
        self.afters: list[int] = []
        self.address = ""

    def ObserveChatStream(self, request, context):
        self.afters.append(request.after_sequence)
        if len(self.afters) > len(self.attachments):
            context.abort(grpc.StatusCode.NOT_FOUND, "the script is over")
        yield from self.attachments[len(self.afters) - 1](context)


@contextmanager
def serve(*attachments: Attachment) -> Iterator[Script]:
    script = Script(list(attachments))
    server = grpc.server(futures.ThreadPoolExecutor())
    chat_stream_service_pb2_grpc.add_ChatStreamServiceServicer_to_server(script, server)
    script.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield script
    finally:
        server.stop(0).wait()
