// The interop suite's driver of the Go client: test/interop/driver.ts says what it reads and writes.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	tailrace "tailrace.dev/go"
	tailracev1 "tailrace.dev/go/tailrace/v1"
)

type command struct {
	ID              string
	Op              string
	URL             string
	Token           string
	RPC             string
	Request         json.RawMessage
	TimeoutMs       int64
	StreamID        string
	AfterSequence   int32
	SilenceMs       int64
	PauseAfterEvent int32
	Target          string
}

type line map[string]any

type observed struct {
	leave  context.CancelFunc
	resume chan struct{}
}

type driver struct {
	mu      sync.Mutex
	conns   map[string]*grpc.ClientConn
	running map[string]*observed
	out     *json.Encoder
}

func main() {
	d := &driver{conns: map[string]*grpc.ClientConn{}, running: map[string]*observed{}, out: json.NewEncoder(os.Stdout)}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 32<<20)
	for lines.Scan() {
		var c command
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			panic(err)
		}
		d.take(c)
	}
}

func (d *driver) take(c command) {
	switch c.Op {
	case "call":
		go d.call(c)
	case "observe":
		ctx, leave := context.WithCancel(context.Background())
		o := &observed{leave: leave, resume: make(chan struct{})}
		d.mu.Lock()
		d.running[c.ID] = o
		d.mu.Unlock()
		go d.observe(ctx, c, o)
	case "resume", "leave":
		d.mu.Lock()
		o := d.running[c.Target]
		d.mu.Unlock()
		if c.Op == "resume" {
			close(o.resume)
		} else {
			o.leave()
		}
	default:
		panic("no such op: " + c.Op)
	}
}

func (d *driver) say(l line) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.out.Encode(l); err != nil {
		panic(err)
	}
}

func (d *driver) client(c command) tailracev1.ChatStreamServiceClient {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := c.URL + " " + c.Token
	if d.conns[key] == nil {
		options := append(tailrace.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))
		if c.Token != "" {
			options = append(options, grpc.WithPerRPCCredentials(tailrace.Token{Value: c.Token, AllowPlaintext: true}))
		}
		conn, err := grpc.NewClient(strings.TrimPrefix(c.URL, "http://"), options...)
		if err != nil {
			panic(err)
		}
		d.conns[key] = conn
	}
	return tailracev1.NewChatStreamServiceClient(d.conns[key])
}

func invoke[I, O proto.Message](ctx context.Context, c command, request I, rpc func(context.Context, I, ...grpc.CallOption) (O, error)) (proto.Message, error) {
	if err := protojson.Unmarshal(c.Request, request); err != nil {
		return nil, err
	}
	return rpc(ctx, request)
}

func (d *driver) call(c command) {
	ctx := context.Background()
	if c.TimeoutMs > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(c.TimeoutMs)*time.Millisecond)
		defer cancel()
	}
	client := d.client(c)
	var response proto.Message
	var err error
	switch c.RPC {
	case "InitiateChatStream":
		response, err = invoke(ctx, c, &tailracev1.InitiateChatStreamRequest{}, client.InitiateChatStream)
	case "GetChatStream":
		response, err = invoke(ctx, c, &tailracev1.GetChatStreamRequest{}, client.GetChatStream)
	case "WaitChatStream":
		response, err = invoke(ctx, c, &tailracev1.WaitChatStreamRequest{}, client.WaitChatStream)
	case "ListChatStreams":
		response, err = invoke(ctx, c, &tailracev1.ListChatStreamsRequest{}, client.ListChatStreams)
	case "CancelChatStream":
		response, err = invoke(ctx, c, &tailracev1.CancelChatStreamRequest{}, client.CancelChatStream)
	case "DeleteChatStream":
		response, err = invoke(ctx, c, &tailracev1.DeleteChatStreamRequest{}, client.DeleteChatStream)
	case "SubmitToolResults":
		response, err = invoke(ctx, c, &tailracev1.SubmitToolResultsRequest{}, client.SubmitToolResults)
	case "ListModels":
		response, err = invoke(ctx, c, &tailracev1.ListModelsRequest{}, client.ListModels)
	default:
		panic("no such rpc: " + c.RPC)
	}
	if err != nil {
		d.say(line{"id": c.ID, "error": told(err)})
		return
	}
	text, err := protojson.Marshal(response)
	if err != nil {
		panic(err)
	}
	d.say(line{"id": c.ID, "response": json.RawMessage(text)})
}

func (d *driver) observe(ctx context.Context, c command, o *observed) {
	attachments := 0
	options := []tailrace.Option{
		tailrace.WithAfterSequence(c.AfterSequence),
		tailrace.WithFrames(func(frame *tailracev1.ObserveChatStreamResponse) {
			switch frame := frame.GetFrame().(type) {
			case *tailracev1.ObserveChatStreamResponse_Attached:
				attachments++
				d.say(line{"id": c.ID, "attached": line{"latestSequence": frame.Attached.GetLatestSequence(), "status": frame.Attached.GetStatus().String()}})
			case *tailracev1.ObserveChatStreamResponse_Heartbeat:
				d.say(line{"id": c.ID, "heartbeat": line{"status": frame.Heartbeat.GetStatus().String()}})
			}
		}),
	}
	if c.SilenceMs > 0 {
		options = append(options, tailrace.WithSilence(time.Duration(c.SilenceMs)*time.Millisecond))
	}
	observation := tailrace.Observe(d.client(c), c.StreamID, options...)
	for event, err := range observation.Events(ctx) {
		if errors.Is(err, context.Canceled) {
			d.say(line{"id": c.ID, "left": true})
			return
		}
		if err != nil {
			d.say(line{"id": c.ID, "error": told(err)})
			return
		}
		d.say(line{"id": c.ID, "event": line{"sequence": event.GetSequence(), "attempt": event.GetAttempt(), "case": caseOf(event)}})
		if event.GetSequence() == c.PauseAfterEvent {
			<-o.resume
		}
	}
	answer := observation.Answer()
	end := line{"text": answer.Text(), "cursor": answer.Cursor(), "attachments": attachments}
	if answer.End() != nil {
		end["status"], end["stopReason"] = answer.End().Status.String(), answer.End().StopReason.String()
	}
	d.say(line{"id": c.ID, "end": end})
}

func caseOf(event *tailracev1.Event) string {
	message := event.ProtoReflect()
	field := message.WhichOneof(message.Descriptor().Oneofs().ByName("payload"))
	if field == nil {
		return ""
	}
	return field.JSONName()
}

func told(err error) line {
	said := tailrace.AsError(err)
	violations := []line{}
	for _, v := range said.Violations {
		violations = append(violations, line{"field": v.Field, "description": v.Description})
	}
	return line{
		"code": nameOf(said.Code), "reason": said.Reason, "message": said.Message, "metadata": said.Metadata,
		"violations": violations, "retryAfterMs": said.RetryAfter.Milliseconds(),
	}
}

// nameOf writes a code as the documents do: INVALID_ARGUMENT.
func nameOf(code codes.Code) string {
	if code == codes.Canceled {
		return "CANCELLED"
	}
	var name strings.Builder
	for i, letter := range code.String() {
		if i > 0 && letter >= 'A' && letter <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(letter)
	}
	return strings.ToUpper(name.String())
}
