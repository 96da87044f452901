package tailrace

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	tailracev1 "tailrace.dev/go/tailrace/v1"
)

type attachment func(after int32, stream grpc.ServerStreamingServer[tailracev1.ObserveChatStreamResponse]) error

// script serves one attachment after the other, each as its function says.
type script struct {
	tailracev1.UnimplementedChatStreamServiceServer
	attachments []attachment
	afters      []int32
}

func (s *script) ObserveChatStream(request *tailracev1.ObserveChatStreamRequest, stream grpc.ServerStreamingServer[tailracev1.ObserveChatStreamResponse]) error {
	s.afters = append(s.afters, request.GetAfterSequence())
	if len(s.afters) > len(s.attachments) {
		return status.Error(codes.NotFound, "the script is over")
	}
	return s.attachments[len(s.afters)-1](request.GetAfterSequence(), stream)
}

func serve(t *testing.T, attachments ...attachment) (*script, tailracev1.ChatStreamServiceClient) {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer()
	s := &script{attachments: attachments}
	tailracev1.RegisterChatStreamServiceServer(server, s)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	dial := grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return listener.Dial() })
	conn, err := grpc.NewClient("passthrough:///test", dial, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return s, tailracev1.NewChatStreamServiceClient(conn)
}

// chat is what the tests' chat says: "one two three".
func chat() []*tailracev1.Event {
	delta := func(sequence int32, text string) *tailracev1.Event {
		return &tailracev1.Event{Sequence: sequence, Payload: &tailracev1.Event_TextDelta{
			TextDelta: &tailracev1.TextDeltaEvent{Index: proto.Int32(0), Text: text}}}
	}
	answer := NewAnswer(0)
	events := []*tailracev1.Event{
		{Sequence: 1, Payload: &tailracev1.Event_Started{Started: &tailracev1.StartedEvent{}}},
		{Sequence: 2, Payload: &tailracev1.Event_BlockStarted{BlockStarted: &tailracev1.BlockStartedEvent{
			Index: proto.Int32(0), Kind: tailracev1.BlockKind_BLOCK_KIND_TEXT}}},
		delta(3, "one "), delta(4, "two "), delta(5, "three"),
	}
	for _, event := range events {
		_ = answer.Apply(event)
	}
	return append(events, &tailracev1.Event{Sequence: 6, Payload: &tailracev1.Event_Completed{
		Completed: &tailracev1.CompletedEvent{
			Status: tailracev1.ChatStreamStatus_CHAT_STREAM_STATUS_COMPLETED, LastSequence: 6,
			ContentSha256: answer.ContentSHA256(),
		}}})
}

func send(after, until int32, then error) attachment {
	return func(cursor int32, stream grpc.ServerStreamingServer[tailracev1.ObserveChatStreamResponse]) error {
		attached := &tailracev1.Attached{LatestSequence: 6, Status: tailracev1.ChatStreamStatus_CHAT_STREAM_STATUS_COMPLETED}
		frames := []*tailracev1.ObserveChatStreamResponse{{Frame: &tailracev1.ObserveChatStreamResponse_Attached{Attached: attached}}}
		if after < until {
			batch := &tailracev1.EventBatch{Events: chat()[after:until]}
			frames = append(frames, &tailracev1.ObserveChatStreamResponse{Frame: &tailracev1.ObserveChatStreamResponse_Batch{Batch: batch}})
		}
		for _, frame := range frames {
			if err := stream.Send(frame); err != nil {
				return err
			}
		}
		return then
	}
}

var quick = WithBackoff(time.Millisecond, 5*time.Millisecond)

func TestAnObservationGoesOnFromItsCursorAfterEachKindOfDrop(t *testing.T) {
	s, client := serve(t,
		send(0, 2, status.Error(codes.Unavailable, "gone")),
		send(2, 4, status.Error(codes.Internal, "stream terminated by RST_STREAM")),
		send(4, 4, nil), // attached, and an OK that is none
		send(4, 6, nil),
	)
	s.attachments[2] = func(_ int32, stream grpc.ServerStreamingServer[tailracev1.ObserveChatStreamResponse]) error {
		return nil
	}
	answer, err := Await(t.Context(), client, "s", quick)
	if err != nil || answer.Text() != "one two three" || answer.End() == nil {
		t.Fatalf("%q, %v", answer.Text(), err)
	}
	for i, wanted := range []int32{0, 2, 4, 4} {
		if s.afters[i] != wanted {
			t.Fatalf("attached after %v", s.afters)
		}
	}
}

func TestFromTheLastEventOfAFinishedChatOnItEndsWithoutAnEvent(t *testing.T) {
	s, client := serve(t, send(6, 6, nil))
	for event, err := range Observe(client, "s", quick, WithAfterSequence(6)).Events(t.Context()) {
		t.Fatalf("%v %v", event, err)
	}
	if len(s.afters) != 1 {
		t.Fatalf("attached after %v", s.afters)
	}
}

func TestAStatusOfANewerServerIsNoEnd(t *testing.T) {
	newer := func(_ int32, stream grpc.ServerStreamingServer[tailracev1.ObserveChatStreamResponse]) error {
		attached := &tailracev1.Attached{Status: tailracev1.ChatStreamStatus(77)}
		return stream.Send(&tailracev1.ObserveChatStreamResponse{Frame: &tailracev1.ObserveChatStreamResponse_Attached{Attached: attached}})
	}
	_, client := serve(t, newer, send(0, 6, nil))
	answer, err := Await(t.Context(), client, "s", quick)
	if err != nil || answer.End() == nil {
		t.Fatalf("%q, %v", answer.Text(), err)
	}
}

func TestASilentConnectionIsLeftForAnotherOne(t *testing.T) {
	left := make(chan struct{})
	hang := func(_ int32, stream grpc.ServerStreamingServer[tailracev1.ObserveChatStreamResponse]) error {
		_ = send(0, 3, nil)(0, stream)
		<-stream.Context().Done()
		close(left)
		return stream.Context().Err()
	}
	_, client := serve(t, hang, send(3, 6, nil))
	answer, err := Await(t.Context(), client, "s", quick, WithSilence(50*time.Millisecond))
	if err != nil || answer.Text() != "one two three" {
		t.Fatalf("%q, %v", answer.Text(), err)
	}
	<-left
}

func refusal(code codes.Code, reason string, retry time.Duration) error {
	said := status.New(code, "said")
	info := &errdetails.ErrorInfo{Domain: errorDomain, Reason: reason, Metadata: map[string]string{"stream_id": "s"}}
	said, err := said.WithDetails(info, &errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{{Field: "a.b", Description: "no"}}})
	if err == nil && retry > 0 {
		said, err = said.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(retry)})
	}
	if err != nil {
		return err
	}
	return said.Err()
}

func TestAServerThatSaysHowLongToWaitIsObeyed(t *testing.T) {
	_, client := serve(t, send(0, 0, refusal(codes.ResourceExhausted, "TOO_MANY_OBSERVERS", 30*time.Millisecond)), send(0, 6, nil))
	var waits []time.Duration
	_, err := Await(t.Context(), client, "s", quick, WithRetries(func(_ error, wait time.Duration) { waits = append(waits, wait) }))
	if err != nil || len(waits) != 1 || waits[0] < 30*time.Millisecond {
		t.Fatalf("%v, %v", waits, err)
	}
}

func TestWhatIsFinalIsToldAtOnceWithItsDetails(t *testing.T) {
	for reason, c := range map[string]struct {
		code codes.Code
		is   error
	}{
		"STREAM_NOT_FOUND":  {codes.NotFound, ErrNotFound},
		"STREAM_DELETED":    {codes.NotFound, ErrStreamDeleted},
		"TOKEN_UNKNOWN":     {codes.Unauthenticated, ErrUnauthenticated},
		"PERMISSION_DENIED": {codes.PermissionDenied, ErrPermissionDenied},
		"CURSOR_BEYOND_END": {codes.OutOfRange, ErrOutOfRange},
		"INVALID_REQUEST":   {codes.InvalidArgument, ErrInvalidArgument},
	} {
		s, client := serve(t, send(0, 2, refusal(c.code, reason, 0)))
		_, err := Await(t.Context(), client, "s", quick)
		var said *Error
		if !errors.As(err, &said) || !errors.Is(err, c.is) || len(s.afters) != 1 {
			t.Fatalf("%s: %v after %v", reason, err, s.afters)
		}
		if said.Reason != reason || said.Metadata["stream_id"] != "s" || said.Violations[0].Field != "a.b" || status.Code(err) != c.code {
			t.Fatalf("%s: %+v", reason, said)
		}
	}
}

func TestTheContextEndsItWithItsCause(t *testing.T) {
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	_, client := serve(t, func(after int32, stream grpc.ServerStreamingServer[tailracev1.ObserveChatStreamResponse]) error {
		_ = send(0, 3, nil)(after, stream)
		<-stream.Context().Done()
		return nil
	})
	var last error
	for event, err := range Observe(client, "s", quick).Events(ctx) {
		if last = err; event.GetSequence() == 3 {
			cancel(enough)
		}
	}
	if !errors.Is(last, context.Canceled) || !errors.Is(last, enough) {
		t.Fatalf("%v", last)
	}
}

func TestItGivesUpWhereNobodyAnswers(t *testing.T) {
	s, client := serve(t)
	for range 1000 {
		s.attachments = append(s.attachments, func(int32, grpc.ServerStreamingServer[tailracev1.ObserveChatStreamResponse]) error {
			return status.Error(codes.Unavailable, "nobody here")
		})
	}
	_, err := Await(t.Context(), client, "s", quick, WithGiveUpAfter(20*time.Millisecond))
	if !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "nobody here") {
		t.Fatalf("%v", err)
	}
}
