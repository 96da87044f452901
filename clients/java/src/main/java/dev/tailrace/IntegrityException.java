package dev.tailrace;

/**
 * What came cannot be all of the chat once: an event is missing, came twice, or the text is not the one that the chat's
 * end tells the hash of. A defect of a server or of something between.
 */
public final class IntegrityException extends RuntimeException {
  IntegrityException(String message) {
    super(message);
  }
}
