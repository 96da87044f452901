package tailrace

// The fold of a chat's events to its answer: what is effective after lost attempts, and the proof that everything
// came once. Nothing here calls a server.

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	tailracev1 "tailrace.dev/go/tailrace/v1"
)

// IntegrityError says that what came cannot be all of the chat once: an event is missing, came twice, or the text is
// not the one that the chat's end tells the hash of. It is a defect of a server or of something between.
type IntegrityError struct{ message string }

func (e *IntegrityError) Error() string { return "tailrace: " + e.message }

type part struct {
	sequence int32
	text     string
}

type block struct {
	index     int32
	kind      tailracev1.BlockKind
	sequence  int32
	id        string
	name      string
	server    string
	parts     []part
	citations []citation
	whole     *tailracev1.ContentBlock
	wholeAt   int32
	signature part
	// incompleteAt is the sequence of the event that says that the call was cut off; 0 where none has.
	incompleteAt int32
}

type citation struct {
	sequence int32
	value    *tailracev1.Citation
}

// Answer is what a chat has said so far. It is not safe for use by several goroutines at once.
type Answer struct {
	after   int32
	cursor  int32
	blocks  []*block
	results map[string]*tailracev1.ToolResultBlock
	usage   *tailracev1.Usage
	end     *End
}

// End is how a chat ended.
type End struct {
	Status        tailracev1.ChatStreamStatus
	StopReason    tailracev1.StopReason
	Failure       *tailracev1.Failure
	Usage         *tailracev1.Usage
	ContentSHA256 string
	// OutputJSON is the answer by a schema, where the request had one.
	OutputJSON string
}

// NewAnswer returns an empty answer; its first event is the one after the given sequence. From a sequence other
// than 0 on it holds the rest of the text alone, and the hash of the whole cannot be checked.
func NewAnswer(afterSequence int32) *Answer {
	return &Answer{after: afterSequence, cursor: afterSequence, results: map[string]*tailracev1.ToolResultBlock{}}
}

// Cursor is the sequence of the last event that was taken.
func (a *Answer) Cursor() int32 { return a.cursor }

// End is nil until the terminal event has come.
func (a *Answer) End() *End { return a.end }

// Usage is what the chat told last of what it used; nil where it has told nothing.
func (a *Answer) Usage() *tailracev1.Usage { return a.usage }

// Text is the text so far: all effective text blocks, in order.
func (a *Answer) Text() string {
	var text strings.Builder
	for _, b := range a.blocks {
		if b.kind == tailracev1.BlockKind_BLOCK_KIND_TEXT {
			text.WriteString(b.text())
		}
	}
	return text.String()
}

// Output is the answer so far in blocks, each client tool's result behind its call: what ChatStream.output is.
func (a *Answer) Output() []*tailracev1.ContentBlock {
	var output []*tailracev1.ContentBlock
	for _, b := range a.blocks {
		output = append(output, b.content())
		if result := a.results[b.id]; b.kind == tailracev1.BlockKind_BLOCK_KIND_TOOL_USE && result != nil {
			output = append(output, &tailracev1.ContentBlock{Block: &tailracev1.ContentBlock_ToolResult{ToolResult: result}})
		}
	}
	return output
}

// ContentSHA256 is the lowercase hex SHA-256 of Text.
func (a *Answer) ContentSHA256() string {
	sum := sha256.Sum256([]byte(a.Text()))
	return hex.EncodeToString(sum[:])
}

// Apply takes the next event. Its error is an *IntegrityError; the answer is not to be used after it.
func (a *Answer) Apply(event *tailracev1.Event) error {
	if event.GetSequence() != a.cursor+1 {
		return &IntegrityError{fmt.Sprintf("event %d came where event %d was due", event.GetSequence(), a.cursor+1)}
	}
	a.cursor = event.GetSequence()
	switch payload := event.GetPayload().(type) {
	case *tailracev1.Event_AttemptStarted:
		a.discardAfter(payload.AttemptStarted.GetSupersedesAfterSequence())
	case *tailracev1.Event_BlockStarted:
		started := payload.BlockStarted
		a.blocks = append(a.blocks, &block{
			index: started.GetIndex(), kind: started.GetKind(), sequence: a.cursor,
			id: started.GetId(), name: started.GetName(), server: started.GetServer(),
		})
	case *tailracev1.Event_TextDelta:
		a.add(payload.TextDelta.GetIndex(), tailracev1.BlockKind_BLOCK_KIND_TEXT, payload.TextDelta.GetText())
	case *tailracev1.Event_ThinkingDelta:
		a.add(payload.ThinkingDelta.GetIndex(), tailracev1.BlockKind_BLOCK_KIND_THINKING, payload.ThinkingDelta.GetText())
	case *tailracev1.Event_ToolInputDelta:
		a.add(payload.ToolInputDelta.GetIndex(), tailracev1.BlockKind_BLOCK_KIND_TOOL_USE, payload.ToolInputDelta.GetJson())
	case *tailracev1.Event_Citation:
		said := payload.Citation
		b := a.block(said.GetIndex(), tailracev1.BlockKind_BLOCK_KIND_TEXT)
		value := &tailracev1.Citation{Document: said.GetDocument(), Quote: said.GetQuote(), Position: said.Position}
		b.citations = append(b.citations, citation{a.cursor, value})
	case *tailracev1.Event_BlockStopped:
		a.stop(payload.BlockStopped)
	case *tailracev1.Event_ToolResultsReceived:
		for _, result := range payload.ToolResultsReceived.GetResults() {
			a.results[result.GetToolUseId()] = result
		}
	case *tailracev1.Event_Usage:
		a.usage = payload.Usage.GetUsage()
	case *tailracev1.Event_Completed:
		return a.finish(payload.Completed, payload.Completed.GetOutputJson())
	case *tailracev1.Event_Failed:
		return a.finish(payload.Failed, "")
	case *tailracev1.Event_Cancelled:
		return a.finish(payload.Cancelled, "")
	case *tailracev1.Event_Error:
		return a.finish(payload.Error, "")
	}
	return nil
}

// terminal is what the four terminal events have in common.
type terminal interface {
	GetStatus() tailracev1.ChatStreamStatus
	GetStopReason() tailracev1.StopReason
	GetUsage() *tailracev1.Usage
	GetFailure() *tailracev1.Failure
	GetLastSequence() int32
	GetContentSha256() string
}

func (a *Answer) finish(last terminal, outputJSON string) error {
	if last.GetLastSequence() != a.cursor {
		return &IntegrityError{fmt.Sprintf("the chat ended with event %d and says that it has %d", a.cursor, last.GetLastSequence())}
	}
	if a.after == 0 && last.GetContentSha256() != a.ContentSHA256() {
		return &IntegrityError{fmt.Sprintf("the text's SHA-256 is %s, the chat's end says %s", a.ContentSHA256(), last.GetContentSha256())}
	}
	if last.GetUsage() != nil {
		a.usage = last.GetUsage()
	}
	a.end = &End{
		Status: last.GetStatus(), StopReason: last.GetStopReason(), Failure: last.GetFailure(),
		Usage: a.usage, ContentSHA256: last.GetContentSha256(), OutputJSON: outputJSON,
	}
	return nil
}

func (a *Answer) add(index int32, kind tailracev1.BlockKind, text string) {
	b := a.block(index, kind)
	b.parts = append(b.parts, part{a.cursor, text})
}

func (a *Answer) stop(stopped *tailracev1.BlockStoppedEvent) {
	content := stopped.GetContent()
	kind := tailracev1.BlockKind_BLOCK_KIND_TEXT
	if content.GetToolResult() != nil {
		kind = tailracev1.BlockKind_BLOCK_KIND_TOOL_RESULT
	}
	b := a.block(stopped.GetIndex(), kind)
	if stopped.GetIncomplete() {
		b.incompleteAt = a.cursor
	}
	if content != nil {
		b.whole, b.wholeAt = content, a.cursor
	} else if stopped.GetSignature() != "" {
		b.signature = part{a.cursor, stopped.GetSignature()}
	}
}

// block finds the newest block of that index. One that began before the cursor is taken for what its event says.
func (a *Answer) block(index int32, kind tailracev1.BlockKind) *block {
	for i := len(a.blocks) - 1; i >= 0; i-- {
		if a.blocks[i].index == index {
			return a.blocks[i]
		}
	}
	b := &block{index: index, kind: kind, sequence: a.cursor}
	a.blocks = append(a.blocks, b)
	return b
}

func (a *Answer) discardAfter(sequence int32) {
	kept := a.blocks[:0]
	for _, b := range a.blocks {
		if b.sequence > sequence {
			continue
		}
		kept = append(kept, b)
		for i, p := range b.parts {
			if p.sequence > sequence {
				b.parts = b.parts[:i]
				break
			}
		}
		for i, c := range b.citations {
			if c.sequence > sequence {
				b.citations = b.citations[:i]
				break
			}
		}
		if b.wholeAt > sequence {
			b.whole, b.wholeAt = nil, 0
		}
		if b.signature.sequence > sequence {
			b.signature = part{}
		}
		if b.incompleteAt > sequence {
			b.incompleteAt = 0
		}
	}
	a.blocks = kept
}

func (b *block) text() string {
	if text, is := b.whole.GetBlock().(*tailracev1.ContentBlock_Text); is {
		return text.Text
	}
	var text strings.Builder
	for _, p := range b.parts {
		text.WriteString(p.text)
	}
	return text.String()
}

func (b *block) content() *tailracev1.ContentBlock {
	var made *tailracev1.ContentBlock
	switch {
	case b.whole != nil:
		made = &tailracev1.ContentBlock{Block: b.whole.GetBlock(), Citations: b.whole.GetCitations()}
	case b.kind == tailracev1.BlockKind_BLOCK_KIND_THINKING:
		thinking := &tailracev1.ThinkingBlock{Text: b.text(), Signature: b.signature.text}
		made = &tailracev1.ContentBlock{Block: &tailracev1.ContentBlock_Thinking{Thinking: thinking}}
	case b.kind == tailracev1.BlockKind_BLOCK_KIND_TOOL_USE, b.kind == tailracev1.BlockKind_BLOCK_KIND_SERVER_TOOL_USE:
		use := &tailracev1.ToolUseBlock{
			Id: b.id, Name: b.name, Input: b.text(), Server: b.server, Incomplete: b.incompleteAt > 0,
		}
		made = &tailracev1.ContentBlock{Block: &tailracev1.ContentBlock_ToolUse{ToolUse: use}}
	case b.kind == tailracev1.BlockKind_BLOCK_KIND_TOOL_RESULT:
		result := &tailracev1.ToolResultBlock{ToolUseId: b.id}
		made = &tailracev1.ContentBlock{Block: &tailracev1.ContentBlock_ToolResult{ToolResult: result}}
	default:
		made = &tailracev1.ContentBlock{Block: &tailracev1.ContentBlock_Text{Text: b.text()}}
	}
	for _, c := range b.citations {
		made.Citations = append(made.Citations, c.value)
	}
	return made
}
