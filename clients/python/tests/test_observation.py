"""The same promises for both forms: `observe` runs the sync one as it is and the asyncio one in a loop of its own."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import grpc
import pytest

import tailrace
from tailrace import aio
from tailrace.v1.chat_stream_service_pb2 import ObserveChatStreamResponse
from tailrace.v1.chat_stream_service_pb2_grpc import ChatStreamServiceStub

from .scripted import TEXT, Attachment, Script, frames, refusal, send, serve

QUICK = {"backoff_base": 0.001, "backoff_max": 0.005}
Observe = Callable[..., tailrace.Answer]


def observe_sync(script: Script, after_sequence: int = 0, **resuming) -> tailrace.Answer:
    with grpc.insecure_channel(script.address, options=tailrace.CHANNEL_OPTIONS) as channel:
        stub = ChatStreamServiceStub(channel)
        options = tailrace.Resuming(**(QUICK | resuming))
        return tailrace.await_answer(stub, "s", after_sequence=after_sequence, resuming=options)


def observe_aio(script: Script, after_sequence: int = 0, **resuming) -> tailrace.Answer:
    async def run() -> tailrace.Answer:
        async with grpc.aio.insecure_channel(script.address, options=tailrace.CHANNEL_OPTIONS) as channel:
            stub = ChatStreamServiceStub(channel)
            options = tailrace.Resuming(**(QUICK | resuming))
            return await aio.await_answer(stub, "s", after_sequence=after_sequence, resuming=options)

    return asyncio.run(run())


@pytest.fixture(params=[observe_sync, observe_aio], ids=["sync", "asyncio"])
def observe(request) -> Observe:
    return request.param


def test_it_goes_on_from_its_cursor_after_each_kind_of_drop(observe: Observe) -> None:
    empty = lambda _context: iter(())
    with serve(
        send(0, 2, refusal(grpc.StatusCode.UNAVAILABLE)),
        send(2, 4, refusal(grpc.StatusCode.INTERNAL)),
        empty,
        send(4, 6),
    ) as script:
        answer = observe(script)
    assert answer.text == TEXT
    assert answer.end is not None
    assert script.afters == [0, 2, 4, 4]


def test_from_the_last_event_of_a_finished_chat_on_it_ends_without_an_event(observe: Observe) -> None:
    with serve(send(6, 6)) as script:
        assert observe(script, after_sequence=6).cursor == 6
    assert script.afters == [6]


def hanging(left: threading.Event) -> Attachment:
    """Says nothing more after the third event, until the client leaves."""

    def attachment(context: grpc.ServicerContext) -> Iterator[ObserveChatStreamResponse]:
        context.add_callback(left.set)
        yield from frames(0, 3)
        left.wait(10)

    return attachment


def test_a_status_of_a_newer_server_is_no_end(observe: Observe) -> None:
    def attachment(_context: grpc.ServicerContext) -> Iterator[ObserveChatStreamResponse]:
        yield ObserveChatStreamResponse(attached={"latest_sequence": 0, "status": 77})

    with serve(attachment, send(0, 6)) as script:
        assert observe(script).text == TEXT


def test_a_silent_connection_is_left_for_another_one(observe: Observe) -> None:
    left = threading.Event()
    with serve(hanging(left), send(3, 6)) as script:
        assert observe(script, silence=0.2).text == TEXT
        assert left.wait(10)


def test_a_server_that_says_how_long_to_wait_is_obeyed(observe: Observe) -> None:
    waits: list[float] = []
    asks = refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "TOO_MANY_OBSERVERS", retry=0.03)
    with serve(send(0, 0, asks), send(0, 6)) as script:
        observe(script, on_retry=lambda _error, wait: waits.append(wait))
    assert len(waits) == 1
    assert waits[0] >= 0.03


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (grpc.StatusCode.NOT_FOUND, "STREAM_NOT_FOUND", tailrace.NotFound),
        (grpc.StatusCode.NOT_FOUND, "STREAM_DELETED", tailrace.StreamDeleted),
        (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_UNKNOWN", tailrace.Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", tailrace.PermissionDenied),
        (grpc.StatusCode.OUT_OF_RANGE, "CURSOR_BEYOND_END", tailrace.OutOfRange),
    ],
)
def test_what_is_final_is_told_at_once_with_its_details(observe: Observe, code, reason, kind) -> None:
    with serve(send(0, 2, refusal(code, reason))) as script:
        with pytest.raises(kind) as raised:
            observe(script)
    assert type(raised.value) is kind
    assert raised.value.reason == reason
    assert raised.value.metadata == {"stream_id": "s"}
    assert raised.value.violations == [tailrace.Violation("a.b", "no")]
    assert script.afters == [0]


def test_it_gives_up_where_nobody_answers(observe: Observe) -> None:
    with serve(*[send(0, 0, refusal(grpc.StatusCode.UNAVAILABLE))] * 1000) as script:
        with pytest.raises(tailrace.Unavailable, match="gone"):
            observe(script, give_up_after=0.05)


def test_leaving_ends_the_iteration() -> None:
    left = threading.Event()
    with serve(hanging(left)) as script:
        with grpc.insecure_channel(script.address) as channel:
            observation = tailrace.Observation(ChatStreamServiceStub(channel), "s")
            for event in observation:
                if event.sequence == 3:
                    threading.Thread(target=observation.leave).start()
            assert left.wait(10)
    assert observation.answer.end is None
    assert script.afters == [0]


def test_a_cancel_that_comes_together_with_a_frame_is_not_lost() -> None:
    class Call:
        def __init__(self) -> None:
            self.frame = asyncio.get_running_loop().create_future()
            self.waited_for = asyncio.Event()

        async def read(self):
            assert not self.frame.done(), "the cancel was lost: it reads on"
            self.waited_for.set()
            return await self.frame

        def cancel(self) -> None:
            pass

    class Stub:
        def __init__(self) -> None:
            self.call = Call()

        def ObserveChatStream(self, _request, metadata):
            return self.call

    async def run() -> None:
        stub = Stub()
        observing = asyncio.create_task(aio.await_answer(stub, "s"))
        await stub.call.waited_for.wait()
        attached, _ = frames(0, 1)
        stub.call.frame.set_result(attached)
        observing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await observing

    asyncio.run(run())
