package dev.tailrace;

import dev.tailrace.v1.ChatStreamServiceGrpc.ChatStreamServiceBlockingV2Stub;
import dev.tailrace.v1.ChatStreamStatus;
import dev.tailrace.v1.Event;
import dev.tailrace.v1.ObserveChatStreamRequest;
import dev.tailrace.v1.ObserveChatStreamResponse;
import io.grpc.StatusException;
import io.grpc.stub.BlockingClientCall;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Queue;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * One observer of a chat: its events, each once, in order, until the terminal one, over as many connections as it takes.
 *
 * <pre>{@code
 * try (var observation = new Observation(ChatStreamServiceGrpc.newBlockingV2Stub(channel), streamId)) {
 *   while (observation.hasNext()) System.out.print(observation.next().getTextDelta().getText());
 * }
 * }</pre>
 *
 * <p>Throws what cannot be helped by going on: a {@link TailraceException} or an {@link IntegrityException}. Used by one
 * thread, but for {@link #close()}. Closing does not cancel the chat.
 */
public final class Observation implements Iterator<Event>, AutoCloseable {
  private final ChatStreamServiceBlockingV2Stub stub;
  private final String streamId;
  private final Resuming resuming;
  private final Answer answer;
  private final Queue<Event> ready = new ArrayDeque<>();
  private final CountDownLatch closed = new CountDownLatch(1);
  private volatile BlockingClientCall<?, ObserveChatStreamResponse> call;
  private int failures;
  private long aliveNanos = System.nanoTime();
  private boolean over;

  public Observation(ChatStreamServiceBlockingV2Stub stub, String streamId) {
    this(stub, streamId, 0, Resuming.DEFAULT);
  }

  /** Begins behind that event: the cursor of an earlier observation. */
  public Observation(ChatStreamServiceBlockingV2Stub stub, String streamId, int afterSequence, Resuming resuming) {
    this.stub = stub;
    this.streamId = streamId;
    this.resuming = resuming;
    this.answer = new Answer(afterSequence);
  }

  /** Observes a chat to its end. How it ended is in the answer: a chat that failed throws nothing. */
  public static Answer await(ChatStreamServiceBlockingV2Stub stub, String streamId) {
    try (Observation observation = new Observation(stub, streamId)) {
      while (observation.hasNext()) observation.next();
      return observation.answer();
    }
  }

  /** What the events so far come to, what lost attempts had said left out. */
  public Answer answer() {
    return answer;
  }

  /** Waits for the next event; false after the last one, and once it is closed. */
  @Override
  public boolean hasNext() {
    if (isClosed()) return false;
    while (ready.isEmpty()) {
      if (over || isClosed()) return false;
      try {
        if (!receive()) retry(TailraceException.unavailable("the stream ended before the chat did"));
      } catch (TailraceException error) {
        retry(error);
      } catch (InterruptedException interrupted) {
        close();
        Thread.currentThread().interrupt();
        throw (CancellationException) new CancellationException("interrupted").initCause(interrupted);
      }
    }
    return true;
  }

  @Override
  public Event next() {
    // What hasNext promised is kept, also where it was closed since.
    if (ready.isEmpty() && !hasNext()) throw new NoSuchElementException("the chat has no more events");
    Event event = ready.remove();
    answer.apply(event);
    if (answer.end().isPresent()) {
      over = true;
      leave("it is over");
    }
    return event;
  }

  /** Leaves, from any thread; the chat goes on. */
  @Override
  public void close() {
    closed.countDown();
    leave("left");
  }

  private boolean isClosed() {
    return closed.getCount() == 0;
  }

  /** Takes one frame; false at the stream's end. */
  private boolean receive() throws InterruptedException {
    try {
      if (call == null) {
        var request =
            ObserveChatStreamRequest.newBuilder().setStreamId(streamId).setAfterSequence(answer.cursor()).build();
        call = stub.observeChatStream(request);
        // Closed in between: that close saw no call.
        if (isClosed()) leave("left");
      }
      // Only while the server is waited for: a reader that takes its time is no silence.
      var current = call;
      if (current == null) return true;
      ObserveChatStreamResponse frame = current.read(resuming.silence().toMillis(), TimeUnit.MILLISECONDS);
      if (frame == null) return over;
      take(frame);
      return true;
    } catch (TimeoutException silent) {
      throw TailraceException.unavailable("the connection was silent for too long");
    } catch (StatusException error) {
      throw TailraceException.of(error);
    }
  }

  private void take(ObserveChatStreamResponse frame) {
    resuming.onFrame().accept(frame);
    if (frame.hasAttached()) {
      // From the last event of a finished chat on there is none: attached says that it is over.
      var attached = frame.getAttached();
      over = isTerminal(attached.getStatus()) && attached.getLatestSequence() == answer.cursor();
      return;
    }
    failures = 0;
    aliveNanos = System.nanoTime();
    ready.addAll(frame.getBatch().getEventsList());
  }

  /** By name: a newer server may have a status that is no end. */
  private static boolean isTerminal(ChatStreamStatus status) {
    return switch (status) {
      case CHAT_STREAM_STATUS_COMPLETED,
          CHAT_STREAM_STATUS_FAILED,
          CHAT_STREAM_STATUS_CANCELLED,
          CHAT_STREAM_STATUS_ERROR -> true;
      default -> false;
    };
  }

  private void retry(TailraceException error) {
    leave("lost");
    if (isClosed() || over) return;
    boolean tooLong = System.nanoTime() - aliveNanos > resuming.giveUpAfter().toNanos();
    if (!error.passes() || tooLong) throw error;
    long most =
        Math.min(resuming.backoffMax().toMillis(), resuming.backoffBase().toMillis() << Math.min(failures, 20));
    failures++;
    // Full jitter: many who lost the same server do not come back at once.
    Duration wait =
        error.retryAfter().orElse(Duration.ZERO).plusMillis(ThreadLocalRandom.current().nextLong(most + 1));
    resuming.onRetry().accept(error, wait);
    try {
      closed.await(wait.toMillis(), TimeUnit.MILLISECONDS);
    } catch (InterruptedException interrupted) {
      // Told by the next read.
      Thread.currentThread().interrupt();
    }
  }

  private void leave(String why) {
    var current = call;
    call = null;
    if (current != null) current.cancel(why, null);
  }
}
