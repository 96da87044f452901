package tailrace

// Observing a chat over as many connections as it takes: a cursor, a backoff, and an eye on silence.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"time"

	tailracev1 "tailrace.dev/go/tailrace/v1"
)

const (
	// The server sends something every 15 s: three of them missed is a dead connection.
	defaultSilence     = 45 * time.Second
	defaultBackoffBase = 200 * time.Millisecond
	defaultBackoffMax  = 10 * time.Second
	defaultGiveUpAfter = 5 * time.Minute
)

// Option changes how a chat is observed.
type Option func(*Observation)

// WithAfterSequence begins behind this event: the cursor of an earlier observation.
func WithAfterSequence(sequence int32) Option {
	return func(o *Observation) { o.answer = NewAnswer(sequence) }
}

// WithSilence sets after how long without any frame the connection is taken for dead. Default 45 s: three heartbeats.
func WithSilence(d time.Duration) Option { return func(o *Observation) { o.silence = d } }

// WithBackoff sets the wait before a connection is tried again: a random time up to base, then up to twice as much
// with each failure in a row, up to max. Default 200 ms and 10 s. A server that says how long to wait is obeyed.
func WithBackoff(base, max time.Duration) Option {
	return func(o *Observation) { o.backoffBase, o.backoffMax = base, max }
}

// WithGiveUpAfter sets how long it goes on trying without any frame before the last error is given. Default 5 min.
func WithGiveUpAfter(d time.Duration) Option { return func(o *Observation) { o.giveUpAfter = d } }

// WithFrames is called with each frame as it comes, attached and heartbeat too: they tell the status and the place in
// the queue.
func WithFrames(see func(*tailracev1.ObserveChatStreamResponse)) Option {
	return func(o *Observation) { o.see = see }
}

// WithRetries is called before each wait, with the error that made it necessary.
func WithRetries(tell func(err error, wait time.Duration)) Option {
	return func(o *Observation) { o.tell = tell }
}

// Observation is one observer of a chat. It is used by one goroutine at a time.
type Observation struct {
	client      tailracev1.ChatStreamServiceClient
	streamID    string
	answer      *Answer
	silence     time.Duration
	backoffBase time.Duration
	backoffMax  time.Duration
	giveUpAfter time.Duration
	see         func(*tailracev1.ObserveChatStreamResponse)
	tell        func(error, time.Duration)
}

// Observe prepares to observe a chat; Events does it. Leaving does not cancel the chat.
func Observe(client tailracev1.ChatStreamServiceClient, streamID string, options ...Option) *Observation {
	o := &Observation{
		client: client, streamID: streamID, answer: NewAnswer(0), silence: defaultSilence,
		backoffBase: defaultBackoffBase, backoffMax: defaultBackoffMax, giveUpAfter: defaultGiveUpAfter,
		see:  func(*tailracev1.ObserveChatStreamResponse) {},
		tell: func(error, time.Duration) {},
	}
	for _, option := range options {
		option(o)
	}
	return o
}

// Answer is what the events so far come to, what lost attempts had said left out.
func (o *Observation) Answer() *Answer { return o.answer }

// Events yields each event once, in order, until the terminal one, over as many connections as it takes. It ends with
// an error where going on cannot help: the *Error of the call, an *IntegrityError, or the context's. Called again it
// goes on behind the last event that was yielded.
func (o *Observation) Events(ctx context.Context) iter.Seq2[*tailracev1.Event, error] {
	return func(yield func(*tailracev1.Event, error) bool) {
		alive := time.Now()
		for failures := 0; o.answer.End() == nil; failures++ {
			over, heard, err := o.attach(ctx, yield)
			if over {
				return
			}
			if ctx.Err() != nil {
				yield(nil, ended(ctx))
				return
			}
			if heard {
				failures, alive = 0, time.Now()
			}
			said := AsError(err)
			var wrong *IntegrityError
			if errors.As(err, &wrong) || (said != nil && !said.passes()) || time.Since(alive) > o.giveUpAfter {
				if wrong == nil {
					err = said
				}
				yield(nil, err)
				return
			}
			wait := o.wait(failures, said)
			o.tell(err, wait)
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	}
}

// ended is why the context has ended. Whatever its cause, errors.Is finds context.Canceled or context.DeadlineExceeded.
func ended(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

// errSilent is what ends a connection that has been silent for too long.
var errSilent = errors.New("tailrace: the connection was silent for too long")

// errCut is told where a server ended a stream without the chat's end, as proxies do that are taken down.
var errCut = errors.New("tailrace: the stream ended before the chat did")

// attach is one connection. over: there is nothing more to yield, or nobody to yield to. heard: it was a working one.
func (o *Observation) attach(ctx context.Context, yield func(*tailracev1.Event, error) bool) (over, heard bool, _ error) {
	attempt, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// It runs only while the server is waited for: a reader that takes its time is no silence.
	watch := time.AfterFunc(o.silence, func() { cancel(errSilent) })
	defer watch.Stop()
	request := &tailracev1.ObserveChatStreamRequest{StreamId: o.streamID, AfterSequence: o.answer.Cursor()}
	stream, err := o.client.ObserveChatStream(attempt, request)
	if err != nil {
		return false, false, err
	}
	ended := false
	for {
		watch.Reset(o.silence)
		message, err := stream.Recv()
		watch.Stop()
		if errors.Is(err, io.EOF) {
			// From the last event of a finished chat on there is none: attached says that it is over.
			return ended, heard, transient(errCut)
		}
		if err != nil {
			if context.Cause(attempt) == errSilent {
				err = transient(errSilent)
			}
			return false, heard, err
		}
		o.see(message)
		switch frame := message.GetFrame().(type) {
		case *tailracev1.ObserveChatStreamResponse_Attached:
			ended = isTerminal(frame.Attached.GetStatus()) && frame.Attached.GetLatestSequence() == o.answer.Cursor()
		case *tailracev1.ObserveChatStreamResponse_Heartbeat:
			heard = true
		case *tailracev1.ObserveChatStreamResponse_Batch:
			heard = true
			for _, event := range frame.Batch.GetEvents() {
				if err := o.answer.Apply(event); err != nil {
					return false, true, err
				}
				if !yield(event, nil) || o.answer.End() != nil {
					return true, true, nil
				}
			}
		}
	}
}

// isTerminal knows them by name: a newer server may have a status that is no end.
func isTerminal(status tailracev1.ChatStreamStatus) bool {
	switch status {
	case tailracev1.ChatStreamStatus_CHAT_STREAM_STATUS_COMPLETED,
		tailracev1.ChatStreamStatus_CHAT_STREAM_STATUS_FAILED,
		tailracev1.ChatStreamStatus_CHAT_STREAM_STATUS_CANCELLED,
		tailracev1.ChatStreamStatus_CHAT_STREAM_STATUS_ERROR:
		return true
	default:
		return false
	}
}

// wait is full jitter: spread over the whole time, so that many who lost the same server do not come back at once.
func (o *Observation) wait(failures int, said *Error) time.Duration {
	most := min(o.backoffMax, o.backoffBase<<min(failures, 20))
	wait := time.Duration(rand.Int64N(int64(most) + 1))
	if said != nil {
		wait += said.RetryAfter
	}
	return wait
}

// Await observes a chat to its end and returns what it said. How the chat ended is in the answer's End: a chat that
// failed is no error of Await.
func Await(ctx context.Context, client tailracev1.ChatStreamServiceClient, streamID string, options ...Option) (*Answer, error) {
	o := Observe(client, streamID, options...)
	for _, err := range o.Events(ctx) {
		if err != nil {
			return o.answer, err
		}
	}
	return o.answer, nil
}
