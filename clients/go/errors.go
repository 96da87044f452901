package tailrace

// What a call was refused for, read out of the google.rpc details that come with gRPC's status.

import (
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const errorDomain = "tailrace.dev"

// Sentinels for errors.Is. Where two fit, as with a stream that was deleted while it was observed, both do.
var (
	ErrInvalidArgument    = errors.New("tailrace: invalid argument")
	ErrNotFound           = errors.New("tailrace: no such stream")
	ErrStreamDeleted      = errors.New("tailrace: the stream was deleted")
	ErrAlreadyExists      = errors.New("tailrace: the stream id is taken")
	ErrFailedPrecondition = errors.New("tailrace: the stream's state forbids it")
	ErrOutOfRange         = errors.New("tailrace: the cursor is out of range")
	ErrResourceExhausted  = errors.New("tailrace: a quota or limit is reached")
	ErrUnauthenticated    = errors.New("tailrace: no or a wrong token")
	ErrPermissionDenied   = errors.New("tailrace: the token does not have the right")
	ErrUnavailable        = errors.New("tailrace: not available now")
)

var sentinels = map[codes.Code]error{
	codes.InvalidArgument:    ErrInvalidArgument,
	codes.NotFound:           ErrNotFound,
	codes.AlreadyExists:      ErrAlreadyExists,
	codes.FailedPrecondition: ErrFailedPrecondition,
	codes.OutOfRange:         ErrOutOfRange,
	codes.ResourceExhausted:  ErrResourceExhausted,
	codes.Unauthenticated:    ErrUnauthenticated,
	codes.PermissionDenied:   ErrPermissionDenied,
	codes.Unavailable:        ErrUnavailable,
}

// Violation is one broken rule of a request: the field's path, and what would be right.
type Violation struct{ Field, Description string }

// Error is a call's error with its details. It unwraps to gRPC's own, so that status.FromError goes on working.
type Error struct {
	Code    codes.Code
	Message string
	// Reason is ErrorReason without its prefix, for example CURSOR_BEYOND_END; empty where Tailrace did not say it:
	// the error is then the network's, or something's between.
	Reason     string
	Metadata   map[string]string
	Violations []Violation
	// RetryAfter is how long to wait before the call is repeated; 0 where nothing was said.
	RetryAfter time.Duration

	cause error
}

func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("tailrace: %s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("tailrace: %s (%s): %s", e.Code, e.Reason, e.Message)
}

func (e *Error) Unwrap() error { return e.cause }

// GRPCStatus is what status.FromError asks for.
func (e *Error) GRPCStatus() *status.Status { return status.Convert(e.cause) }

// Is makes errors.Is(err, ErrNotFound) and its like work.
func (e *Error) Is(target error) bool {
	if target == ErrStreamDeleted {
		return e.Reason == "STREAM_DELETED"
	}
	sentinel, known := sentinels[e.Code]
	return known && target == sentinel
}

// AsError reads the details of the error of any call of the generated client; nil for nil.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	var already *Error
	if errors.As(err, &already) {
		return already
	}
	said := status.Convert(err)
	made := &Error{Code: said.Code(), Message: said.Message(), Metadata: map[string]string{}, cause: err}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			if detail.GetDomain() == errorDomain {
				made.Reason, made.Metadata = detail.GetReason(), detail.GetMetadata()
			}
		case *errdetails.BadRequest:
			for _, v := range detail.GetFieldViolations() {
				made.Violations = append(made.Violations, Violation{v.GetField(), v.GetDescription()})
			}
		case *errdetails.RetryInfo:
			made.RetryAfter = detail.GetRetryDelay().AsDuration()
		}
	}
	return made
}

// passes says whether observing again may help. What Tailrace itself says is final, unless it says when to come
// again or that it is away; what the network says is not.
func (e *Error) passes() bool {
	if e.Code == codes.Unavailable || e.RetryAfter > 0 {
		return true
	}
	switch e.Code {
	case codes.Internal, codes.Aborted, codes.Canceled, codes.DeadlineExceeded:
		return e.Reason == ""
	default:
		return false
	}
}

// transient is an error of the connection's own.
func transient(cause error) *Error {
	return &Error{Code: codes.Unavailable, Message: cause.Error(), cause: status.Error(codes.Unavailable, cause.Error())}
}
