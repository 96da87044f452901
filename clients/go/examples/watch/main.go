// Starts a chat and prints its answer as it comes; a connection that is lost on the way is resumed.
//
//	go run ./examples/watch -addr 127.0.0.1:8080 "Why is the sky blue?"
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	tailrace "tailrace.dev/go"
	tailracev1 "tailrace.dev/go/tailrace/v1"
)

func main() {
	log.SetFlags(0)
	addr := flag.String("addr", "127.0.0.1:8080", "host:port of Tailrace")
	flag.Parse()
	question := flag.Arg(0)
	if question == "" {
		question = "Why is the sky blue?"
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	options := append(tailrace.DialOptions(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(*addr, options...)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	client := tailracev1.NewChatStreamServiceClient(conn)

	started, err := client.InitiateChatStream(ctx, &tailracev1.InitiateChatStreamRequest{
		Request: &tailracev1.ChatRequest{Messages: []*tailracev1.Message{{
			Role:    tailracev1.Role_ROLE_USER,
			Content: []*tailracev1.ContentBlock{{Block: &tailracev1.ContentBlock_Text{Text: question}}},
		}}},
	})
	if err != nil {
		log.Fatal(tailrace.AsError(err))
	}
	log.Printf("stream %s", started.GetStreamId())

	observation := tailrace.Observe(client, started.GetStreamId())
	for event, err := range observation.Events(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if again := event.GetAttemptStarted(); again != nil && again.GetSupersedesAfterSequence() != event.GetSequence()-1 {
			// What a lost worker had said since its last step does not count: what does is said again.
			fmt.Print("\n", observation.Answer().Text())
		}
		fmt.Print(event.GetTextDelta().GetText())
	}
	end := observation.Answer().End()
	fmt.Printf("\n%s %s\n", end.Status, end.StopReason)
}
