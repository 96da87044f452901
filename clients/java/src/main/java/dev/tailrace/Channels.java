package dev.tailrace;

import io.grpc.ManagedChannelBuilder;
import java.util.concurrent.TimeUnit;

/** What a channel to Tailrace wants beside its address. */
public final class Channels {
  private Channels() {}

  /**
   * {@code Channels.kept(ManagedChannelBuilder.forTarget("dns:///tailrace.internal:443")).build()}: a connection whose
   * other side is gone without a word is found out by pings; without them every call goes on being put on it until TCP
   * gives up, a quarter of an hour later.
   */
  public static <T extends ManagedChannelBuilder<T>> ManagedChannelBuilder<T> kept(ManagedChannelBuilder<T> builder) {
    return builder.keepAliveTime(20, TimeUnit.SECONDS).keepAliveTimeout(10, TimeUnit.SECONDS);
  }
}
