// Which exit code an error's code or a chat's end is.
import { Code } from '@connectrpc/connect';
import { ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';

export function exitOfCode(code: Code): ExitCode {
  switch (code) {
    case Code.InvalidArgument:
    case Code.OutOfRange:
      return EXIT.usage;
    case Code.NotFound:
      return EXIT.notFound;
    case Code.Unauthenticated:
    case Code.PermissionDenied:
      return EXIT.notAllowed;
    case Code.Unavailable:
    case Code.DeadlineExceeded:
      return EXIT.unreachable;
    case Code.AlreadyExists:
    case Code.FailedPrecondition:
    case Code.Aborted:
      return EXIT.conflict;
    case Code.ResourceExhausted:
      return EXIT.exhausted;
    case Code.Canceled:
      return EXIT.interrupted;
    case Code.Unknown:
    case Code.Unimplemented:
    case Code.Internal:
    case Code.DataLoss:
      return EXIT.failed;
  }
}

/** Of a command that is about how a chat ends. */
export function exitOfStatus(status: ChatStreamStatus): ExitCode {
  switch (status) {
    case ChatStreamStatus.COMPLETED:
      return EXIT.ok;
    case ChatStreamStatus.FAILED:
    case ChatStreamStatus.ERROR:
      return EXIT.chatFailed;
    case ChatStreamStatus.CANCELLED:
      return EXIT.chatCancelled;
    default:
      return EXIT.chatNotOver;
  }
}
