package dev.tailrace;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.protobuf.util.Durations;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.tailrace.v1.Attached;
import dev.tailrace.v1.BlockKind;
import dev.tailrace.v1.BlockStartedEvent;
import dev.tailrace.v1.ChatStreamServiceGrpc;
import dev.tailrace.v1.ChatStreamStatus;
import dev.tailrace.v1.CompletedEvent;
import dev.tailrace.v1.Event;
import dev.tailrace.v1.EventBatch;
import dev.tailrace.v1.ObserveChatStreamRequest;
import dev.tailrace.v1.ObserveChatStreamResponse;
import dev.tailrace.v1.StartedEvent;
import dev.tailrace.v1.TextDeltaEvent;
import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.Status;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class ObservationTest {
  private static final Resuming QUICK =
      Resuming.DEFAULT.withBackoff(Duration.ofMillis(1), Duration.ofMillis(5));
  private static final ChatStreamStatus COMPLETED = ChatStreamStatus.CHAT_STREAM_STATUS_COMPLETED;

  private interface Attachment extends Consumer<StreamObserver<ObserveChatStreamResponse>> {}

  private final List<Integer> afters = Collections.synchronizedList(new ArrayList<>());
  private Server server;
  private ManagedChannel channel;

  private ChatStreamServiceGrpc.ChatStreamServiceBlockingV2Stub serve(Attachment... attachments) throws IOException {
    String name = InProcessServerBuilder.generateName();
    var service =
        new ChatStreamServiceGrpc.ChatStreamServiceImplBase() {
          @Override
          public void observeChatStream(
              ObserveChatStreamRequest request, StreamObserver<ObserveChatStreamResponse> out) {
            afters.add(request.getAfterSequence());
            if (afters.size() > attachments.length) out.onError(Status.NOT_FOUND.asException());
            else attachments[afters.size() - 1].accept(out);
          }
        };
    server = InProcessServerBuilder.forName(name).addService(service).build().start();
    channel = InProcessChannelBuilder.forName(name).build();
    return ChatStreamServiceGrpc.newBlockingV2Stub(channel);
  }

  @AfterEach
  void stop() {
    channel.shutdownNow();
    server.shutdownNow();
  }

  private static Event delta(int sequence, String text) {
    return Event.newBuilder()
        .setSequence(sequence)
        .setTextDelta(TextDeltaEvent.newBuilder().setIndex(0).setText(text))
        .build();
  }

  private static List<Event> chat() {
    Answer answer = new Answer();
    List<Event> events =
        new ArrayList<>(
            List.of(
                Event.newBuilder().setSequence(1).setStarted(StartedEvent.getDefaultInstance()).build(),
                Event.newBuilder()
                    .setSequence(2)
                    .setBlockStarted(BlockStartedEvent.newBuilder().setIndex(0).setKind(BlockKind.BLOCK_KIND_TEXT))
                    .build(),
                delta(3, "one "),
                delta(4, "two "),
                delta(5, "three")));
    events.forEach(answer::apply);
    var end =
        CompletedEvent.newBuilder().setStatus(COMPLETED).setLastSequence(6).setContentSha256(answer.contentSha256());
    events.add(Event.newBuilder().setSequence(6).setCompleted(end).build());
    return events;
  }

  private static void frames(int after, int until, StreamObserver<ObserveChatStreamResponse> out) {
    var attached = Attached.newBuilder().setLatestSequence(6).setStatus(COMPLETED);
    out.onNext(ObserveChatStreamResponse.newBuilder().setAttached(attached).build());
    if (after == until) return;
    var batch = EventBatch.newBuilder().addAllEvents(chat().subList(after, until));
    out.onNext(ObserveChatStreamResponse.newBuilder().setBatch(batch).build());
  }

  private static Attachment send(int after, int until) {
    return out -> {
      frames(after, until, out);
      out.onCompleted();
    };
  }

  private static Attachment send(int after, int until, Throwable then) {
    return out -> {
      frames(after, until, out);
      out.onError(then);
    };
  }

  private static Throwable refusal(Status.Code code, String reason, Any... more) {
    var info = ErrorInfo.newBuilder().setDomain("tailrace.dev").setReason(reason).putMetadata("stream_id", "s");
    var violation = BadRequest.FieldViolation.newBuilder().setField("a.b").setDescription("no");
    var said =
        com.google.rpc.Status.newBuilder()
            .setCode(code.value())
            .setMessage("said")
            .addDetails(Any.pack(info.build()))
            .addDetails(Any.pack(BadRequest.newBuilder().addFieldViolations(violation).build()))
            .addAllDetails(List.of(more));
    return StatusProto.toStatusRuntimeException(said.build());
  }

  private static Answer observe(Observation observation) {
    while (observation.hasNext()) observation.next();
    return observation.answer();
  }

  @Test
  void aStatusOfANewerServerIsNoEnd() throws IOException {
    var stub =
        serve(
            out -> {
              var attached = Attached.newBuilder().setStatusValue(77);
              out.onNext(ObserveChatStreamResponse.newBuilder().setAttached(attached).build());
              frames(0, 6, out);
              out.onCompleted();
            });
    assertTrue(observe(new Observation(stub, "s", 0, QUICK)).end().isPresent());
  }

  @Test
  void itGoesOnFromItsCursorAfterEachKindOfDrop() throws IOException {
    var stub =
        serve(
            send(0, 2, Status.UNAVAILABLE.asException()),
            send(2, 4, Status.INTERNAL.withDescription("RST_STREAM").asException()),
            StreamObserver::onCompleted,
            send(4, 6));
    Answer answer = observe(new Observation(stub, "s", 0, QUICK));
    assertEquals("one two three", answer.text());
    assertTrue(answer.end().isPresent());
    assertEquals(List.of(0, 2, 4, 4), afters);
  }

  @Test
  void fromTheLastEventOfAFinishedChatOnItEndsWithoutAnEvent() throws IOException {
    assertFalse(new Observation(serve(send(6, 6)), "s", 6, QUICK).hasNext());
    assertEquals(List.of(6), afters);
  }

  @Test
  void aSilentConnectionIsLeftForAnotherOne() throws IOException, InterruptedException {
    CountDownLatch left = new CountDownLatch(1);
    Attachment hang =
        out -> {
          ((ServerCallStreamObserver<ObserveChatStreamResponse>) out).setOnCancelHandler(left::countDown);
          frames(0, 3, out);
        };
    var stub = serve(hang, send(3, 6));
    Answer answer = observe(new Observation(stub, "s", 0, QUICK.withSilence(Duration.ofMillis(100))));
    assertEquals("one two three", answer.text());
    assertTrue(left.await(10, TimeUnit.SECONDS));
  }

  @Test
  void aServerThatSaysHowLongToWaitIsObeyed() throws IOException {
    Any retry = Any.pack(RetryInfo.newBuilder().setRetryDelay(Durations.fromMillis(30)).build());
    var stub =
        serve(send(0, 0, refusal(Status.Code.RESOURCE_EXHAUSTED, "TOO_MANY_OBSERVERS", retry)), send(0, 6));
    List<Duration> waits = new ArrayList<>();
    observe(new Observation(stub, "s", 0, QUICK.withOnRetry((error, wait) -> waits.add(wait))));
    assertEquals(1, waits.size());
    assertTrue(waits.get(0).toMillis() >= 30);
  }

  @Test
  void whatIsFinalIsToldAtOnceWithItsDetails() throws IOException {
    Map<String, Map.Entry<Status.Code, Class<? extends TailraceException>>> finals =
        Map.of(
            "STREAM_NOT_FOUND", Map.entry(Status.Code.NOT_FOUND, TailraceException.NotFound.class),
            "STREAM_DELETED", Map.entry(Status.Code.NOT_FOUND, TailraceException.StreamDeleted.class),
            "TOKEN_UNKNOWN", Map.entry(Status.Code.UNAUTHENTICATED, TailraceException.Unauthenticated.class),
            "PERMISSION_DENIED", Map.entry(Status.Code.PERMISSION_DENIED, TailraceException.PermissionDenied.class),
            "CURSOR_BEYOND_END", Map.entry(Status.Code.OUT_OF_RANGE, TailraceException.OutOfRange.class));
    for (var each : finals.entrySet()) {
      afters.clear();
      var stub = serve(send(0, 2, refusal(each.getValue().getKey(), each.getKey())));
      var said =
          assertThrows(TailraceException.class, () -> observe(new Observation(stub, "s", 0, QUICK)));
      assertSame(each.getValue().getValue(), said.getClass());
      assertEquals(each.getKey(), said.reason());
      assertEquals(Map.of("stream_id", "s"), said.metadata());
      assertEquals(List.of(new TailraceException.Violation("a.b", "no")), said.violations());
      assertEquals(List.of(0), afters);
      stop();
    }
  }

  @Test
  void closingFromAnotherThreadEndsIt() throws IOException, InterruptedException {
    CountDownLatch left = new CountDownLatch(1);
    var stub =
        serve(
            out -> {
              ((ServerCallStreamObserver<ObserveChatStreamResponse>) out).setOnCancelHandler(left::countDown);
              frames(0, 3, out);
            });
    try (Observation observation = new Observation(stub, "s", 0, QUICK)) {
      while (observation.hasNext()) {
        if (observation.next().getSequence() == 3) new Thread(observation::close).start();
      }
      assertTrue(observation.answer().end().isEmpty());
    }
    assertTrue(left.await(10, TimeUnit.SECONDS));
    assertEquals(List.of(0), afters);
  }

  @Test
  void whatHasNextPromisedIsKeptWhenItIsClosedMeanwhile() throws IOException {
    Observation observation = new Observation(serve(send(0, 6)), "s", 0, QUICK);
    assertTrue(observation.hasNext());
    observation.close();
    assertEquals(1, observation.next().getSequence());
    assertFalse(observation.hasNext());
  }

  @Test
  void itGivesUpWhereNobodyAnswers() throws IOException {
    Attachment[] nobody = new Attachment[1000];
    java.util.Arrays.fill(nobody, send(0, 0, Status.UNAVAILABLE.withDescription("nobody here").asException()));
    var stub = serve(nobody);
    var resuming = QUICK.withGiveUpAfter(Duration.ofMillis(50));
    var said =
        assertThrows(
            TailraceException.Unavailable.class, () -> observe(new Observation(stub, "s", 0, resuming)));
    assertEquals("nobody here", said.description());
  }
}
