package tailrace

// What a connection to Tailrace wants beside its address.

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"
)

const (
	// maxReconnect bounds gRPC's own backoff, which grows to two minutes otherwise: a server that is back is soon used.
	maxReconnect = 5 * time.Second
	// A connection whose other side is gone without a word is found out by pings; without them every call goes on
	// being put on it until TCP gives up, a quarter of an hour later.
	pingAfter   = 20 * time.Second
	pingTimeout = 10 * time.Second
)

// DialOptions are for grpc.NewClient, beside the transport's credentials.
func DialOptions() []grpc.DialOption {
	config := backoff.DefaultConfig
	config.BaseDelay, config.MaxDelay = 100*time.Millisecond, maxReconnect
	return []grpc.DialOption{
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: config, MinConnectTimeout: maxReconnect}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingAfter, Timeout: pingTimeout}),
	}
}

// Token sends a bearer token with each call: grpc.WithPerRPCCredentials(tailrace.Token{Value: "…"}).
type Token struct {
	Value string
	// AllowPlaintext lets it go over a connection without TLS, as to a server on this machine.
	AllowPlaintext bool
}

// GetRequestMetadata is what gRPC asks for with each call.
func (t Token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + t.Value}, nil
}

// RequireTransportSecurity is what gRPC asks for when it connects.
func (t Token) RequireTransportSecurity() bool { return !t.AllowPlaintext }
