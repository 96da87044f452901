package dev.tailrace;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.tailrace.v1.ChatStreamServiceGrpc;
import dev.tailrace.v1.GetChatStreamRequest;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Status;
import io.grpc.StatusException;
import java.io.IOException;
import org.junit.jupiter.api.Test;

class TailraceExceptionTest {
  @Test
  void whatTheNetworkSaidIsInTheMessage() {
    var channel = Channels.kept(ManagedChannelBuilder.forTarget("127.0.0.1:1").usePlaintext()).build();
    try {
      var stub = ChatStreamServiceGrpc.newBlockingV2Stub(channel);
      var error =
          assertThrows(StatusException.class, () -> stub.getChatStream(GetChatStreamRequest.getDefaultInstance()));
      var said = TailraceException.of(error).getMessage();
      assertTrue(said.contains("Connection refused: /127.0.0.1:1"), said);
    } finally {
      channel.shutdownNow();
    }
  }

  @Test
  void aCauseIsSaidOnceAndStandsAloneWhereThereAreNoOtherWords() {
    var cause = new IOException("reset");
    assertEquals("reset", described(Status.UNAVAILABLE.withCause(cause)));
    assertEquals("it was reset", described(Status.UNAVAILABLE.withDescription("it was reset").withCause(cause)));
    assertEquals("", described(Status.UNAVAILABLE.withCause(new IOException())));
  }

  private static String described(Status status) {
    return TailraceException.of(status.asException()).description();
  }
}
