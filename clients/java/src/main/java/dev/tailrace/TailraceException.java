package dev.tailrace;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** A call's error with what its google.rpc details say. The cause is gRPC's own. */
public class TailraceException extends RuntimeException {
  /** One broken rule of a request: the field's path, and what would be right. */
  public record Violation(String field, String description) {}

  /** The request breaks a rule; {@link #violations()} names each. */
  public static final class InvalidArgument extends TailraceException {
    InvalidArgument(Details details) { super(details); }
  }

  /** No such stream for this caller. */
  public static class NotFound extends TailraceException {
    NotFound(Details details) { super(details); }
  }

  /** The stream was deleted while it was observed. */
  public static final class StreamDeleted extends NotFound {
    StreamDeleted(Details details) { super(details); }
  }

  /** The stream id is taken. */
  public static final class AlreadyExists extends TailraceException {
    AlreadyExists(Details details) { super(details); }
  }

  /** The stream's state forbids it. */
  public static final class FailedPrecondition extends TailraceException {
    FailedPrecondition(Details details) { super(details); }
  }

  /** The cursor is out of range; {@link #metadata()} says what there is. */
  public static final class OutOfRange extends TailraceException {
    OutOfRange(Details details) { super(details); }
  }

  /** A quota or limit is reached. */
  public static final class ResourceExhausted extends TailraceException {
    ResourceExhausted(Details details) { super(details); }
  }

  /** No or a wrong token. */
  public static final class Unauthenticated extends TailraceException {
    Unauthenticated(Details details) { super(details); }
  }

  /** The token does not have the right. */
  public static final class PermissionDenied extends TailraceException {
    PermissionDenied(Details details) { super(details); }
  }

  /** Not available now; safe to repeat, InitiateChatStream with the same stream_id. */
  public static final class Unavailable extends TailraceException {
    Unavailable(Details details) { super(details); }
  }

  private record Details(
      Status.Code code,
      String message,
      String reason,
      Map<String, String> metadata,
      List<Violation> violations,
      Duration retryAfter,
      Throwable cause) {}

  private static final String DOMAIN = "tailrace.dev";

  private final transient Details details;

  private TailraceException(Details details) {
    super(
        details.code() + (details.reason().isEmpty() ? "" : " (" + details.reason() + ")") + ": " + details.message(),
        details.cause());
    this.details = details;
  }

  /** Reads the details of the error of any call, StatusException or StatusRuntimeException. */
  public static TailraceException of(Throwable error) {
    if (error instanceof TailraceException already) return already;
    Status status = Status.fromThrowable(error);
    com.google.rpc.Status said = StatusProto.fromThrowable(error);
    String reason = "";
    Map<String, String> metadata = Map.of();
    List<Violation> violations = List.of();
    Duration retryAfter = null;
    try {
      for (Any detail : said == null ? List.<Any>of() : said.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          ErrorInfo info = detail.unpack(ErrorInfo.class);
          if (!info.getDomain().equals(DOMAIN)) continue;
          reason = info.getReason();
          metadata = Map.copyOf(info.getMetadataMap());
        } else if (detail.is(BadRequest.class)) {
          violations =
              detail.unpack(BadRequest.class).getFieldViolationsList().stream()
                  .map(v -> new Violation(v.getField(), v.getDescription()))
                  .toList();
        } else if (detail.is(RetryInfo.class)) {
          var delay = detail.unpack(RetryInfo.class).getRetryDelay();
          retryAfter = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
        }
      }
    } catch (InvalidProtocolBufferException unreadable) {
      error.addSuppressed(unreadable);
    }
    String message = messageOf(status);
    return made(new Details(status.getCode(), message, reason, metadata, violations, retryAfter, error));
  }

  /** Where the network is what failed, gRPC says "io exception", and its cause what that was. */
  private static String messageOf(Status status) {
    String said = status.getDescription() == null ? "" : status.getDescription();
    String why = status.getCause() == null ? null : status.getCause().getMessage();
    if (why == null || said.contains(why)) return said;
    return said.isEmpty() ? why : said + ": " + why;
  }

  static TailraceException unavailable(String message) {
    return of(Status.UNAVAILABLE.withDescription(message).asException());
  }

  private static TailraceException made(Details details) {
    return switch (details.code()) {
      case INVALID_ARGUMENT -> new InvalidArgument(details);
      case NOT_FOUND ->
          details.reason().equals("STREAM_DELETED") ? new StreamDeleted(details) : new NotFound(details);
      case ALREADY_EXISTS -> new AlreadyExists(details);
      case FAILED_PRECONDITION -> new FailedPrecondition(details);
      case OUT_OF_RANGE -> new OutOfRange(details);
      case RESOURCE_EXHAUSTED -> new ResourceExhausted(details);
      case UNAUTHENTICATED -> new Unauthenticated(details);
      case PERMISSION_DENIED -> new PermissionDenied(details);
      case UNAVAILABLE -> new Unavailable(details);
      default -> new TailraceException(details);
    };
  }

  public Status.Code code() {
    return details.code();
  }

  /** The message without code and reason. */
  public String description() {
    return details.message();
  }

  /**
   * ErrorReason without its prefix, for example CURSOR_BEYOND_END; empty where Tailrace did not say it: the error is then
   * the network's, or something's between.
   */
  public String reason() {
    return details.reason();
  }

  public Map<String, String> metadata() {
    return details.metadata();
  }

  public List<Violation> violations() {
    return details.violations();
  }

  /** How long to wait before the call is repeated. */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(details.retryAfter());
  }

  /**
   * Whether observing again may help. What Tailrace itself says is final, unless it says when to come again or that it is
   * away; what the network says is not.
   */
  boolean passes() {
    if (code() == Status.Code.UNAVAILABLE || retryAfter().isPresent()) return true;
    return switch (code()) {
      case INTERNAL, ABORTED, CANCELLED, DEADLINE_EXCEEDED -> reason().isEmpty();
      default -> false;
    };
  }
}
