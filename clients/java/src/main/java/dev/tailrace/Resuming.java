package dev.tailrace;

import dev.tailrace.v1.ObserveChatStreamResponse;
import java.time.Duration;
import java.util.function.BiConsumer;
import java.util.function.Consumer;

/**
 * How an observation is kept up: {@code Resuming.DEFAULT.withSilence(Duration.ofSeconds(20))}.
 *
 * @param silence without any frame for so long a connection is taken for dead; the server sends something every 15 s
 * @param backoffBase the first wait is a random time up to this, each further one up to twice as long
 * @param backoffMax the longest wait, but for what a server asks for
 * @param giveUpAfter without any frame for so long, over all tries, the last error is thrown
 * @param onFrame called with each frame as it comes, attached and heartbeat too: they tell the status and the place in
 *     the queue
 * @param onRetry called before each wait, with the error that made it necessary
 */
public record Resuming(
    Duration silence,
    Duration backoffBase,
    Duration backoffMax,
    Duration giveUpAfter,
    Consumer<ObserveChatStreamResponse> onFrame,
    BiConsumer<TailraceException, Duration> onRetry) {

  public static final Resuming DEFAULT =
      new Resuming(
          Duration.ofSeconds(45),
          Duration.ofMillis(200),
          Duration.ofSeconds(10),
          Duration.ofMinutes(5),
          frame -> {},
          (error, wait) -> {});

  public Resuming withSilence(Duration silence) {
    return new Resuming(silence, backoffBase, backoffMax, giveUpAfter, onFrame, onRetry);
  }

  public Resuming withBackoff(Duration base, Duration max) {
    return new Resuming(silence, base, max, giveUpAfter, onFrame, onRetry);
  }

  public Resuming withGiveUpAfter(Duration giveUpAfter) {
    return new Resuming(silence, backoffBase, backoffMax, giveUpAfter, onFrame, onRetry);
  }

  public Resuming withOnFrame(Consumer<ObserveChatStreamResponse> onFrame) {
    return new Resuming(silence, backoffBase, backoffMax, giveUpAfter, onFrame, onRetry);
  }

  public Resuming withOnRetry(BiConsumer<TailraceException, Duration> onRetry) {
    return new Resuming(silence, backoffBase, backoffMax, giveUpAfter, onFrame, onRetry);
  }
}
