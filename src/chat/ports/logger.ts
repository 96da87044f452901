// What the house needs of a logger; pino's fits. One line an event, with stream_id, correlation_id,
// tenant and attempt; never a prompt's or an answer's text, never a secret.

export interface Logger {
  readonly debug: (fields: object, message: string) => void;
  readonly info: (fields: object, message: string) => void;
  readonly warn: (fields: object, message: string) => void;
  readonly error: (fields: object, message: string) => void;
}
