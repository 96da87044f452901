"""The interop suite's driver of the Python client, `driver.py sync` and `driver.py asyncio`: test/interop/driver.ts
says what it reads and writes."""

import asyncio
import json
import sys
import threading

import grpc
from google.protobuf import json_format

import tailrace
from tailrace import aio
from tailrace.v1 import chat_stream_pb2, chat_stream_service_pb2 as service
from tailrace.v1.chat_stream_service_pb2_grpc import ChatStreamServiceStub

_writing = threading.Lock()


def say(line: dict) -> None:
    with _writing:
        print(json.dumps(line), flush=True)


def told(error: tailrace.TailraceError) -> dict:
    return {
        "code": error.code.name,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
        "violations": [{"field": v.field, "description": v.description} for v in error.violations],
        "retryAfterMs": (error.retry_after or 0) * 1000,
    }


def request_of(command: dict):
    return json_format.ParseDict(command["request"], getattr(service, f"{command['rpc']}Request")())


def metadata_of(command: dict) -> list[tuple[str, str]]:
    token = command.get("token")
    return [("authorization", f"Bearer {token}")] if token else []


def timeout_of(command: dict) -> float | None:
    return command["timeoutMs"] / 1000 if command.get("timeoutMs") else None


class Told:
    """What an observation tells on its way, the same in both forms."""

    def __init__(self, command: dict) -> None:
        self.id = command["id"]
        self.attachments = 0
        more = {"silence": command["silenceMs"] / 1000} if command.get("silenceMs") else {}
        self.options = {
            "after_sequence": command.get("afterSequence", 0),
            "resuming": tailrace.Resuming(on_frame=self.frame, **more),
            "metadata": lambda: metadata_of(command),
        }

    def frame(self, frame: service.ObserveChatStreamResponse) -> None:
        kind = frame.WhichOneof("frame")
        if kind == "batch":
            return
        of = getattr(frame, kind)
        status = chat_stream_pb2.ChatStreamStatus.Name(of.status)
        if kind == "attached":
            self.attachments += 1
            say({"id": self.id, "attached": {"latestSequence": of.latest_sequence, "status": status}})
        else:
            say({"id": self.id, "heartbeat": {"status": status}})

    def event(self, event) -> None:
        case = event.WhichOneof("payload") or ""
        head, *rest = case.split("_")
        camel = head + "".join(word.capitalize() for word in rest)
        say({"id": self.id, "event": {"sequence": event.sequence, "attempt": event.attempt, "case": camel}})

    def end(self, answer: tailrace.Answer) -> None:
        end = {
            "text": answer.text,
            "cursor": answer.cursor,
            "attachments": self.attachments,
        }
        if answer.end is not None:
            end["status"] = chat_stream_pb2.ChatStreamStatus.Name(answer.end.status)
            end["stopReason"] = chat_stream_pb2.StopReason.Name(answer.end.stop_reason)
        say({"id": self.id, "end": end})


def run_sync() -> None:
    channels: dict[str, grpc.Channel] = {}
    running: dict[str, tuple[tailrace.Observation, threading.Event]] = {}

    def stub_of(command: dict) -> ChatStreamServiceStub:
        address = command["url"].removeprefix("http://")
        if address not in channels:
            channels[address] = grpc.insecure_channel(address, options=tailrace.CHANNEL_OPTIONS)
        return ChatStreamServiceStub(channels[address])

    def call(command: dict) -> None:
        try:
            rpc = getattr(stub_of(command), command["rpc"])
            answer = rpc(request_of(command), timeout=timeout_of(command), metadata=metadata_of(command))
            say({"id": command["id"], "response": json_format.MessageToDict(answer)})
        except grpc.RpcError as error:
            say({"id": command["id"], "error": told(tailrace.as_error(error))})

    def observe(command: dict, observing: Told, observation: tailrace.Observation, resume: threading.Event) -> None:
        try:
            for event in observation:
                observing.event(event)
                if event.sequence == command.get("pauseAfterEvent"):
                    resume.wait()
            observing.end(observation.answer)
        except tailrace.TailraceError as error:
            say({"id": command["id"], "error": told(error)})

    for line in sys.stdin:
        command = json.loads(line)
        match command["op"]:
            case "call":
                threading.Thread(target=call, args=[command], daemon=True).start()
            case "observe":
                observing, resume = Told(command), threading.Event()
                observation = tailrace.Observation(stub_of(command), command["streamId"], **observing.options)
                running[command["id"]] = (observation, resume)
                threading.Thread(target=observe, args=[command, observing, observation, resume], daemon=True).start()
            case "resume":
                running[command["target"]][1].set()
            case "leave":
                observation, _ = running[command["target"]]
                observation.leave()
                say({"id": command["target"], "left": True})


async def run_asyncio() -> None:
    channels: dict[str, grpc.aio.Channel] = {}
    running: dict[str, tuple[asyncio.Task, asyncio.Event]] = {}
    tasks: set[asyncio.Task] = set()

    def stub_of(command: dict) -> ChatStreamServiceStub:
        address = command["url"].removeprefix("http://")
        if address not in channels:
            channels[address] = grpc.aio.insecure_channel(address, options=tailrace.CHANNEL_OPTIONS)
        return ChatStreamServiceStub(channels[address])

    async def call(command: dict) -> None:
        try:
            rpc = getattr(stub_of(command), command["rpc"])
            answer = await rpc(request_of(command), timeout=timeout_of(command), metadata=metadata_of(command))
            say({"id": command["id"], "response": json_format.MessageToDict(answer)})
        except grpc.RpcError as error:
            say({"id": command["id"], "error": told(tailrace.as_error(error))})

    async def observe(command: dict, resume: asyncio.Event) -> None:
        observing = Told(command)
        observation = aio.Observation(stub_of(command), command["streamId"], **observing.options)
        try:
            async for event in observation:
                observing.event(event)
                if event.sequence == command.get("pauseAfterEvent"):
                    await resume.wait()
            observing.end(observation.answer)
        except tailrace.TailraceError as error:
            say({"id": command["id"], "error": told(error)})
        except asyncio.CancelledError:
            say({"id": command["id"], "left": True})
            raise

    def start(work) -> asyncio.Task:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        return task

    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        match command["op"]:
            case "call":
                start(call(command))
            case "observe":
                resume = asyncio.Event()
                running[command["id"]] = (start(observe(command, resume)), resume)
            case "resume":
                running[command["target"]][1].set()
            case "leave":
                running[command["target"]][0].cancel()


if sys.argv[1] == "sync":
    run_sync()
else:
    asyncio.run(run_asyncio())
