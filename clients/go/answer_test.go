package tailrace

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	tailracev1 "tailrace.dev/go/tailrace/v1"
)

type foldCase struct {
	Name   string
	Events []json.RawMessage
	After  int32
	Text   string
	Output []json.RawMessage
	Fault  string
}

func foldCases(t *testing.T) []foldCase {
	t.Helper()
	text, err := os.ReadFile("../testdata/folds.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []foldCase }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 {
		t.Fatal("there are no cases")
	}
	return file.Cases
}

func TestEventsFoldToTheAnswerThatEveryClientSees(t *testing.T) {
	for _, c := range foldCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			answer := NewAnswer(c.After)
			var refused error
			for _, raw := range c.Events {
				event := &tailracev1.Event{}
				if err := protojson.Unmarshal(raw, event); err != nil {
					t.Fatal(err)
				}
				if refused = answer.Apply(event); refused != nil {
					break
				}
			}
			if c.Fault != "" {
				var wrong *IntegrityError
				if !errors.As(refused, &wrong) {
					t.Fatalf("it was taken: %v", refused)
				}
				if (c.Fault == "hash") != strings.Contains(wrong.Error(), "SHA-256") {
					t.Fatalf("refused for another reason: %v", wrong)
				}
				return
			}
			if refused != nil {
				t.Fatal(refused)
			}
			if answer.Text() != c.Text {
				t.Errorf("text %q, wanted %q", answer.Text(), c.Text)
			}
			if answer.End() == nil {
				t.Error("it has no end")
			}
			output := answer.Output()
			if len(output) != len(c.Output) {
				t.Fatalf("%d blocks, wanted %d: %v", len(output), len(c.Output), output)
			}
			for i, raw := range c.Output {
				wanted := &tailracev1.ContentBlock{}
				if err := protojson.Unmarshal(raw, wanted); err != nil {
					t.Fatal(err)
				}
				if !proto.Equal(output[i], wanted) {
					t.Errorf("block %d is %v, wanted %v", i, output[i], wanted)
				}
			}
		})
	}
}
