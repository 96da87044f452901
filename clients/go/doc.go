// Package tailrace observes chats of a Tailrace server over as many connections as it takes, and folds their events to
// the answer. Everything else is called by the generated client in tailrace.dev/go/tailrace/v1, of which this package
// reads the errors.
package tailrace
