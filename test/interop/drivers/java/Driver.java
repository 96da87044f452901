// The interop suite's driver of the Java client: test/interop/driver.ts says what it reads and writes.
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import dev.tailrace.BearerToken;
import dev.tailrace.Channels;
import dev.tailrace.Observation;
import dev.tailrace.Resuming;
import dev.tailrace.TailraceException;
import dev.tailrace.v1.CancelChatStreamRequest;
import dev.tailrace.v1.ChatStreamServiceGrpc;
import dev.tailrace.v1.ChatStreamServiceGrpc.ChatStreamServiceBlockingV2Stub;
import dev.tailrace.v1.DeleteChatStreamRequest;
import dev.tailrace.v1.Event;
import dev.tailrace.v1.GetChatStreamRequest;
import dev.tailrace.v1.InitiateChatStreamRequest;
import dev.tailrace.v1.ListChatStreamsRequest;
import dev.tailrace.v1.ListModelsRequest;
import dev.tailrace.v1.ObserveChatStreamResponse;
import dev.tailrace.v1.SubmitToolResultsRequest;
import dev.tailrace.v1.WaitChatStreamRequest;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.StatusException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;

public final class Driver {
  private record Running(Observation observation, CountDownLatch resume) {}

  private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);
  private static final Map<String, ManagedChannel> CHANNELS = new ConcurrentHashMap<>();
  private static final Map<String, Running> RUNNING = new ConcurrentHashMap<>();

  public static void main(String[] args) throws IOException {
    ExecutorService threads =
        Executors.newCachedThreadPool(
            work -> {
              Thread thread = new Thread(work);
              thread.setDaemon(true);
              return thread;
            });
    var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line; (line = lines.readLine()) != null; ) {
      JsonObject command = JsonParser.parseString(line).getAsJsonObject();
      switch (text(command, "op")) {
        case "call" -> threads.execute(() -> guarded(command, () -> call(command)));
        case "observe" -> {
          Running running = prepare(command);
          RUNNING.put(text(command, "id"), running);
          threads.execute(() -> guarded(command, () -> observe(command, running)));
        }
        case "resume" -> RUNNING.get(text(command, "target")).resume().countDown();
        case "leave" -> RUNNING.get(text(command, "target")).observation().close();
        default -> throw new IllegalArgumentException(line);
      }
    }
  }

  /** What nobody thought of is told, not lost with its thread. */
  private static void guarded(JsonObject command, Runnable work) {
    try {
      work.run();
    } catch (RuntimeException unexpected) {
      JsonObject told = new JsonObject();
      told.addProperty("code", "DEFECT");
      told.addProperty("message", unexpected.toString() + " at " + java.util.Arrays.toString(unexpected.getStackTrace()));
      say(line(command, "error", told));
    }
  }

  private static String text(JsonObject from, String name) {
    return from.has(name) ? from.get(name).getAsString() : "";
  }

  private static int number(JsonObject from, String name) {
    return from.has(name) ? from.get(name).getAsInt() : 0;
  }

  private static void say(JsonObject line) {
    synchronized (OUT) {
      OUT.println(line);
      OUT.flush();
    }
  }

  private static JsonObject line(JsonObject command, String what, JsonElement value) {
    JsonObject made = new JsonObject();
    made.addProperty("id", text(command, "id"));
    made.add(what, value);
    return made;
  }

  private static ChatStreamServiceBlockingV2Stub stub(JsonObject command) {
    String address = text(command, "url").substring("http://".length());
    var channel =
        CHANNELS.computeIfAbsent(address, to -> Channels.kept(ManagedChannelBuilder.forTarget(to).usePlaintext()).build());
    var stub = ChatStreamServiceGrpc.newBlockingV2Stub(channel);
    String token = text(command, "token");
    return token.isEmpty() ? stub : stub.withCallCredentials(new BearerToken(() -> token));
  }

  @SuppressWarnings("unchecked")
  private static <T extends Message> T read(JsonObject command, Message.Builder into)
      throws InvalidProtocolBufferException {
    JsonFormat.parser().merge(command.get("request").toString(), into);
    return (T) into.build();
  }

  private static void call(JsonObject command) {
    var stub = stub(command);
    int timeoutMs = number(command, "timeoutMs");
    if (timeoutMs > 0) stub = stub.withDeadlineAfter(timeoutMs, TimeUnit.MILLISECONDS);
    try {
      Message answer =
          switch (text(command, "rpc")) {
            case "InitiateChatStream" -> stub.initiateChatStream(read(command, InitiateChatStreamRequest.newBuilder()));
            case "GetChatStream" -> stub.getChatStream(read(command, GetChatStreamRequest.newBuilder()));
            case "WaitChatStream" -> stub.waitChatStream(read(command, WaitChatStreamRequest.newBuilder()));
            case "ListChatStreams" -> stub.listChatStreams(read(command, ListChatStreamsRequest.newBuilder()));
            case "CancelChatStream" -> stub.cancelChatStream(read(command, CancelChatStreamRequest.newBuilder()));
            case "DeleteChatStream" -> stub.deleteChatStream(read(command, DeleteChatStreamRequest.newBuilder()));
            case "SubmitToolResults" -> stub.submitToolResults(read(command, SubmitToolResultsRequest.newBuilder()));
            case "ListModels" -> stub.listModels(read(command, ListModelsRequest.newBuilder()));
            default -> throw new IllegalArgumentException(text(command, "rpc"));
          };
      say(line(command, "response", JsonParser.parseString(JsonFormat.printer().print(answer))));
    } catch (StatusException error) {
      say(line(command, "error", told(TailraceException.of(error))));
    } catch (InvalidProtocolBufferException error) {
      throw new IllegalArgumentException(command.toString(), error);
    }
  }

  private static Running prepare(JsonObject command) {
    Resuming resuming = Resuming.DEFAULT.withOnFrame(frame -> tell(command, frame));
    int silenceMs = number(command, "silenceMs");
    if (silenceMs > 0) resuming = resuming.withSilence(Duration.ofMillis(silenceMs));
    var observation =
        new Observation(stub(command), text(command, "streamId"), number(command, "afterSequence"), resuming);
    return new Running(observation, new CountDownLatch(1));
  }

  private static void tell(JsonObject command, ObserveChatStreamResponse frame) {
    JsonObject told = new JsonObject();
    if (frame.hasAttached()) {
      command.addProperty("attachments", number(command, "attachments") + 1);
      told.addProperty("latestSequence", frame.getAttached().getLatestSequence());
      told.addProperty("status", frame.getAttached().getStatus().name());
      say(line(command, "attached", told));
    } else if (frame.hasHeartbeat()) {
      told.addProperty("status", frame.getHeartbeat().getStatus().name());
      say(line(command, "heartbeat", told));
    }
  }

  private static void observe(JsonObject command, Running running) {
    Observation observation = running.observation();
    int pauseAfter = number(command, "pauseAfterEvent");
    try {
      while (observation.hasNext()) {
        Event event = observation.next();
        JsonObject told = new JsonObject();
        told.addProperty("sequence", event.getSequence());
        told.addProperty("attempt", event.getAttempt());
        told.addProperty("case", camel(event.getPayloadCase().name()));
        say(line(command, "event", told));
        if (event.getSequence() == pauseAfter) running.resume().await();
      }
    } catch (TailraceException error) {
      say(line(command, "error", told(error)));
      return;
    } catch (InterruptedException error) {
      throw new IllegalStateException(error);
    }
    var answer = observation.answer();
    boolean last = answer.end().isPresent() || number(command, "afterSequence") == answer.cursor();
    if (!last) {
      say(line(command, "left", JsonParser.parseString("true")));
      return;
    }
    JsonObject end = new JsonObject();
    end.addProperty("text", answer.text());
    end.addProperty("cursor", answer.cursor());
    end.addProperty("attachments", number(command, "attachments"));
    answer
        .end()
        .ifPresent(
            how -> {
              end.addProperty("status", how.status().name());
              end.addProperty("stopReason", how.stopReason().name());
            });
    say(line(command, "end", end));
  }

  private static String camel(String constant) {
    StringBuilder name = new StringBuilder();
    for (String word : constant.toLowerCase().split("_")) {
      name.append(name.length() == 0 ? word : Character.toUpperCase(word.charAt(0)) + word.substring(1));
    }
    return name.toString();
  }

  private static JsonObject told(TailraceException error) {
    JsonObject told = new JsonObject();
    told.addProperty("code", error.code().name());
    told.addProperty("reason", error.reason());
    told.addProperty("message", error.description());
    JsonObject metadata = new JsonObject();
    error.metadata().forEach(metadata::addProperty);
    told.add("metadata", metadata);
    JsonArray violations = new JsonArray();
    for (var violation : error.violations()) {
      JsonObject each = new JsonObject();
      each.addProperty("field", violation.field());
      each.addProperty("description", violation.description());
      violations.add(each);
    }
    told.add("violations", violations);
    told.addProperty("retryAfterMs", error.retryAfter().map(Duration::toMillis).orElse(0L));
    return told;
  }
}
