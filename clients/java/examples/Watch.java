// Starts a chat and prints its answer as it comes; a connection that is lost on the way is resumed.
//
//   mvn -q package dependency:build-classpath -Dmdep.outputFile=target/classpath.txt
//   java -cp "target/classes:$(cat target/classpath.txt)" examples/Watch.java 127.0.0.1:8080 "Why is the sky blue?"
import dev.tailrace.Channels;
import dev.tailrace.Observation;
import dev.tailrace.TailraceException;
import dev.tailrace.v1.ChatRequest;
import dev.tailrace.v1.ChatStreamServiceGrpc;
import dev.tailrace.v1.ContentBlock;
import dev.tailrace.v1.Event;
import dev.tailrace.v1.InitiateChatStreamRequest;
import dev.tailrace.v1.Message;
import dev.tailrace.v1.Role;
import io.grpc.ManagedChannelBuilder;
import io.grpc.StatusException;

final class Watch {
  public static void main(String[] args) {
    String address = args.length > 0 ? args[0] : "127.0.0.1:8080";
    String question = args.length > 1 ? args[1] : "Why is the sky blue?";
    var channel = Channels.kept(ManagedChannelBuilder.forTarget(address).usePlaintext()).build();
    try {
      var stub = ChatStreamServiceGrpc.newBlockingV2Stub(channel);
      var message =
          Message.newBuilder().setRole(Role.ROLE_USER).addContent(ContentBlock.newBuilder().setText(question));
      var request = ChatRequest.newBuilder().addMessages(message);
      var started = stub.initiateChatStream(InitiateChatStreamRequest.newBuilder().setRequest(request).build());
      System.out.println("stream " + started.getStreamId());

      try (var observation = new Observation(stub, started.getStreamId())) {
        while (observation.hasNext()) {
          Event event = observation.next();
          if (event.hasAttemptStarted()
              && event.getAttemptStarted().getSupersedesAfterSequence() != event.getSequence() - 1) {
            // What a lost worker had said since its last step does not count: what does is said again.
            System.out.print("\n" + observation.answer().text());
          }
          System.out.print(event.getTextDelta().getText());
          System.out.flush();
        }
        System.out.println();
        observation.answer().end().ifPresent(end -> System.out.println(end.status()));
      }
    } catch (StatusException error) {
      System.err.println(TailraceException.of(error).getMessage());
      System.exit(1);
    } finally {
      channel.shutdownNow();
    }
  }
}
