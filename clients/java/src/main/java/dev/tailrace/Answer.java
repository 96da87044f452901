package dev.tailrace;

import dev.tailrace.v1.BlockKind;
import dev.tailrace.v1.BlockStoppedEvent;
import dev.tailrace.v1.ChatStreamStatus;
import dev.tailrace.v1.Citation;
import dev.tailrace.v1.CitationEvent;
import dev.tailrace.v1.ContentBlock;
import dev.tailrace.v1.Event;
import dev.tailrace.v1.Failure;
import dev.tailrace.v1.StopReason;
import dev.tailrace.v1.ThinkingBlock;
import dev.tailrace.v1.ToolResultBlock;
import dev.tailrace.v1.ToolUseBlock;
import dev.tailrace.v1.Usage;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The fold of a chat's events to its answer: what is effective after lost attempts, and the proof that everything came
 * once. Nothing here calls a server. Not for use by several threads at once.
 */
public final class Answer {
  /** How a chat ended. {@code outputJson} is the answer by a schema, where the request had one. */
  public record End(
      ChatStreamStatus status,
      StopReason stopReason,
      Optional<Failure> failure,
      Optional<Usage> usage,
      String contentSha256,
      String outputJson) {}

  private record Part<T>(int sequence, T value) {}

  private static final class Block {
    final int index;
    final BlockKind kind;
    final int sequence;
    final String id;
    final String name;
    final String server;
    final List<Part<String>> parts = new ArrayList<>();
    final List<Part<Citation>> citations = new ArrayList<>();
    Part<ContentBlock> whole;
    Part<String> signature;
    /** The sequence of the event that says that the call was cut off; 0 where none has. */
    int incompleteAt;

    Block(int index, BlockKind kind, int sequence, String id, String name, String server) {
      this.index = index;
      this.kind = kind;
      this.sequence = sequence;
      this.id = id;
      this.name = name;
      this.server = server;
    }

    String text() {
      if (whole != null && whole.value().hasText()) return whole.value().getText();
      StringBuilder text = new StringBuilder();
      for (Part<String> part : parts) text.append(part.value());
      return text.toString();
    }

    ContentBlock content() {
      ContentBlock.Builder made = whole == null ? ContentBlock.newBuilder() : whole.value().toBuilder();
      if (whole == null) {
        switch (kind) {
          case BLOCK_KIND_THINKING ->
              made.setThinking(
                  ThinkingBlock.newBuilder().setText(text()).setSignature(signature == null ? "" : signature.value()));
          case BLOCK_KIND_TOOL_USE, BLOCK_KIND_SERVER_TOOL_USE ->
              made.setToolUse(
                  ToolUseBlock.newBuilder()
                      .setId(id)
                      .setName(name)
                      .setInput(text())
                      .setServer(server)
                      .setIncomplete(incompleteAt > 0));
          case BLOCK_KIND_TOOL_RESULT -> made.setToolResult(ToolResultBlock.newBuilder().setToolUseId(id));
          default -> made.setText(text());
        }
      }
      for (Part<Citation> citation : citations) made.addCitations(citation.value());
      return made.build();
    }

    void discardAfter(int last) {
      parts.removeIf(part -> part.sequence() > last);
      citations.removeIf(citation -> citation.sequence() > last);
      if (whole != null && whole.sequence() > last) whole = null;
      if (signature != null && signature.sequence() > last) signature = null;
      if (incompleteAt > last) incompleteAt = 0;
    }
  }

  private final int after;
  private final List<Block> blocks = new ArrayList<>();
  private final Map<String, ToolResultBlock> results = new HashMap<>();
  private int cursor;
  private Usage usage;
  private End end;

  /** An empty answer; its first event is event 1. */
  public Answer() {
    this(0);
  }

  /**
   * An empty answer; its first event is the one after that sequence. From another one than 0 on it holds the rest of the
   * text alone, and the hash of the whole cannot be checked.
   */
  public Answer(int afterSequence) {
    after = afterSequence;
    cursor = afterSequence;
  }

  /** The sequence of the last event that was taken. */
  public int cursor() {
    return cursor;
  }

  /** Empty until the terminal event has come. */
  public Optional<End> end() {
    return Optional.ofNullable(end);
  }

  /** What the chat told last of what it used. */
  public Optional<Usage> usage() {
    return Optional.ofNullable(usage);
  }

  /** The text so far: all effective text blocks, in order. */
  public String text() {
    StringBuilder text = new StringBuilder();
    for (Block block : blocks) if (block.kind == BlockKind.BLOCK_KIND_TEXT) text.append(block.text());
    return text.toString();
  }

  /** The answer so far in blocks, each client tool's result behind its call: what ChatStream.output is. */
  public List<ContentBlock> output() {
    List<ContentBlock> output = new ArrayList<>();
    for (Block block : blocks) {
      output.add(block.content());
      ToolResultBlock result = results.get(block.id);
      if (block.kind == BlockKind.BLOCK_KIND_TOOL_USE && result != null) {
        output.add(ContentBlock.newBuilder().setToolResult(result).build());
      }
    }
    return output;
  }

  /** Lowercase hex SHA-256 of {@link #text()}. */
  public String contentSha256() {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      return HexFormat.of().formatHex(digest.digest(text().getBytes(StandardCharsets.UTF_8)));
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException("every Java has SHA-256", impossible);
    }
  }

  /** Takes the next event. After an {@link IntegrityException} the answer is not to be used. */
  public void apply(Event event) {
    if (event.getSequence() != cursor + 1) {
      throw new IntegrityException(
          "event " + event.getSequence() + " came where event " + (cursor + 1) + " was due");
    }
    cursor = event.getSequence();
    switch (event.getPayloadCase()) {
      case ATTEMPT_STARTED -> discardAfter(event.getAttemptStarted().getSupersedesAfterSequence());
      case BLOCK_STARTED -> {
        var started = event.getBlockStarted();
        blocks.add(
            new Block(
                started.getIndex(),
                started.getKind(),
                cursor,
                started.getId(),
                started.getName(),
                started.getServer()));
      }
      case TEXT_DELTA ->
          add(event.getTextDelta().getIndex(), BlockKind.BLOCK_KIND_TEXT, event.getTextDelta().getText());
      case THINKING_DELTA ->
          add(event.getThinkingDelta().getIndex(), BlockKind.BLOCK_KIND_THINKING, event.getThinkingDelta().getText());
      case TOOL_INPUT_DELTA ->
          add(event.getToolInputDelta().getIndex(), BlockKind.BLOCK_KIND_TOOL_USE, event.getToolInputDelta().getJson());
      case CITATION -> cite(event.getCitation());
      case BLOCK_STOPPED -> stop(event.getBlockStopped());
      case TOOL_RESULTS_RECEIVED ->
          event.getToolResultsReceived().getResultsList().forEach(result -> results.put(result.getToolUseId(), result));
      case USAGE -> usage = event.getUsage().getUsage();
      case COMPLETED -> {
        var last = event.getCompleted();
        if (last.hasUsage()) usage = last.getUsage();
        finish(last.getStatus(), last.getStopReason(), null, last.getLastSequence(), last.getContentSha256(), last.getOutputJson());
      }
      case FAILED -> {
        var last = event.getFailed();
        if (last.hasUsage()) usage = last.getUsage();
        finish(last.getStatus(), last.getStopReason(), last.hasFailure() ? last.getFailure() : null, last.getLastSequence(), last.getContentSha256(), "");
      }
      case CANCELLED -> {
        var last = event.getCancelled();
        if (last.hasUsage()) usage = last.getUsage();
        finish(last.getStatus(), last.getStopReason(), null, last.getLastSequence(), last.getContentSha256(), "");
      }
      case ERROR -> {
        var last = event.getError();
        if (last.hasUsage()) usage = last.getUsage();
        finish(last.getStatus(), last.getStopReason(), last.hasFailure() ? last.getFailure() : null, last.getLastSequence(), last.getContentSha256(), "");
      }
      default -> {
        // Started, warnings, requests for tool results, and what a newer server may say: no part of the answer.
      }
    }
  }

  private void finish(
      ChatStreamStatus status, StopReason stopReason, Failure failure, int last, String sha256, String outputJson) {
    if (last != cursor) {
      throw new IntegrityException("the chat ended with event " + cursor + " and says that it has " + last);
    }
    if (after == 0 && !sha256.equals(contentSha256())) {
      throw new IntegrityException(
          "the text's SHA-256 is " + contentSha256() + ", the chat's end says " + sha256);
    }
    end = new End(status, stopReason, Optional.ofNullable(failure), usage(), sha256, outputJson);
  }

  private void add(int index, BlockKind kind, String text) {
    block(index, kind).parts.add(new Part<>(cursor, text));
  }

  private void cite(CitationEvent said) {
    Citation.Builder citation = Citation.newBuilder().setDocument(said.getDocument()).setQuote(said.getQuote());
    if (said.hasPosition()) citation.setPosition(said.getPosition());
    block(said.getIndex(), BlockKind.BLOCK_KIND_TEXT).citations.add(new Part<>(cursor, citation.build()));
  }

  private void stop(BlockStoppedEvent stopped) {
    BlockKind kind =
        stopped.getContent().hasToolResult() ? BlockKind.BLOCK_KIND_TOOL_RESULT : BlockKind.BLOCK_KIND_TEXT;
    Block block = block(stopped.getIndex(), kind);
    if (stopped.getIncomplete()) block.incompleteAt = cursor;
    if (stopped.hasContent()) block.whole = new Part<>(cursor, stopped.getContent());
    else if (!stopped.getSignature().isEmpty()) block.signature = new Part<>(cursor, stopped.getSignature());
  }

  /** The newest block of that index. One that began before the cursor is taken for what its event says. */
  private Block block(int index, BlockKind kind) {
    for (int at = blocks.size() - 1; at >= 0; at--) if (blocks.get(at).index == index) return blocks.get(at);
    Block block = new Block(index, kind, cursor, "", "", "");
    blocks.add(block);
    return block;
  }

  private void discardAfter(int last) {
    blocks.removeIf(block -> block.sequence > last);
    for (Block block : blocks) block.discardAfter(last);
  }
}
