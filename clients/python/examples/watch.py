"""Starts a chat and prints its answer as it comes; a connection that is lost on the way is resumed.

python examples/watch.py [--address 127.0.0.1:8080] "Why is the sky blue?"
"""

import argparse

import grpc

import tailrace
from tailrace.v1.chat_stream_pb2 import ChatStreamStatus
from tailrace.v1.chat_stream_service_pb2 import InitiateChatStreamRequest
from tailrace.v1.chat_stream_service_pb2_grpc import ChatStreamServiceStub
from tailrace.v1.content_pb2 import ROLE_USER

parser = argparse.ArgumentParser()
parser.add_argument("--address", default="127.0.0.1:8080")
parser.add_argument("question", nargs="?", default="Why is the sky blue?")
arguments = parser.parse_args()

with grpc.insecure_channel(arguments.address, options=tailrace.CHANNEL_OPTIONS) as channel:
    stub = ChatStreamServiceStub(channel)
    request = InitiateChatStreamRequest(
        request={"messages": [{"role": ROLE_USER, "content": [{"text": arguments.question}]}]}
    )
    try:
        started = stub.InitiateChatStream(request, timeout=10)
    except grpc.RpcError as error:
        raise SystemExit(str(tailrace.as_error(error)))
    print(f"stream {started.stream_id}")

    observation = tailrace.Observation(stub, started.stream_id)
    for event in observation:
        again = event.attempt_started if event.HasField("attempt_started") else None
        if again is not None and again.supersedes_after_sequence != event.sequence - 1:
            # What a lost worker had said since its last step does not count: what does is said again.
            print(f"\n{observation.answer.text}", end="")
        print(event.text_delta.text, end="", flush=True)
    print()
    if observation.answer.end is not None:
        print(ChatStreamStatus.Name(observation.answer.end.status))
