package dev.tailrace;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;
import dev.tailrace.v1.ContentBlock;
import dev.tailrace.v1.Event;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;

class AnswerTest {
  @TestFactory
  Stream<DynamicTest> eventsFoldToTheAnswerThatEveryClientSees() throws IOException {
    String text = Files.readString(Path.of("../testdata/folds.json"));
    JsonArray cases = JsonParser.parseString(text).getAsJsonObject().getAsJsonArray("cases");
    assertTrue(cases.size() > 0);
    return StreamSupport.stream(cases.spliterator(), false)
        .map(JsonElement::getAsJsonObject)
        .map(each -> DynamicTest.dynamicTest(each.get("name").getAsString(), () -> check(each)));
  }

  private static void check(JsonObject wanted) throws IOException {
    Answer answer = new Answer(wanted.has("after") ? wanted.get("after").getAsInt() : 0);
    List<Event> events = new ArrayList<>();
    for (JsonElement event : wanted.getAsJsonArray("events")) events.add(read(event, Event.newBuilder()));
    if (wanted.has("fault")) {
      var refused = assertThrows(IntegrityException.class, () -> events.forEach(answer::apply));
      assertEquals(wanted.get("fault").getAsString().equals("hash"), refused.getMessage().contains("SHA-256"));
      return;
    }
    events.forEach(answer::apply);
    assertEquals(wanted.get("text").getAsString(), answer.text());
    List<ContentBlock> output = new ArrayList<>();
    for (JsonElement block : wanted.getAsJsonArray("output")) output.add(read(block, ContentBlock.newBuilder()));
    assertEquals(output, answer.output());
    assertTrue(answer.end().isPresent());
  }

  @SuppressWarnings("unchecked")
  private static <T extends Message> T read(JsonElement json, Message.Builder into)
      throws InvalidProtocolBufferException {
    JsonFormat.parser().merge(json.toString(), into);
    return (T) into.build();
  }
}
