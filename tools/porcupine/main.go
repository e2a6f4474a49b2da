// Program porcupine judges histories of a log with the checker of that name, for comparison with
// ours: one history a line of the input, "yes" or "no" a line of the output.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"

	"github.com/anishathalye/porcupine"
)

// operation is one call and what was answered, as sim/checkers/linear.ts judges it.
type operation struct {
	Called   int64  `json:"called"`
	Returned *int64 `json:"returned"`
	Input    input  `json:"input"`
}

type input struct {
	Kind      string    `json:"kind"`
	FirstLsn  int       `json:"firstLsn"`
	Keys      []*string `json:"keys"`
	Claim     bool      `json:"claim"`
	Condition condition `json:"condition"`
	TailLsn   int       `json:"tailLsn"`
	Key       string    `json:"key"`
	KeyLsn    int       `json:"keyLsn"`
	TokenLsn  int       `json:"tokenLsn"`
}

type condition struct {
	ExpectTail *int `json:"expectTail"`
	ExpectKey  *struct {
		Key string `json:"key"`
		Lsn int    `json:"lsn"`
	} `json:"expectKey"`
	Fence *struct {
		Key   string `json:"key"`
		Token int    `json:"token"`
	} `json:"fence"`
}

// positions are where a key was last tagged and last claimed.
type positions struct{ key, token int }

type state struct {
	tail int
	keys map[string]positions
}

func (s state) text() string {
	names := make([]string, 0, len(s.keys))
	for name := range s.keys {
		names = append(names, name)
	}
	sort.Strings(names)
	var text strings.Builder
	fmt.Fprintf(&text, "%d", s.tail)
	for _, name := range names {
		fmt.Fprintf(&text, " %s=%d/%d", name, s.keys[name].key, s.keys[name].token)
	}
	return text.String()
}

// after gives the state after an append, and whether the log could have taken it there.
func (s state) after(in input) (state, bool) {
	if in.FirstLsn <= s.tail {
		return s, false
	}
	if want := in.Condition.ExpectTail; want != nil && (s.tail > *want || *want >= in.FirstLsn) {
		return s, false
	}
	if want := in.Condition.ExpectKey; want != nil && s.keys[want.Key].key != want.Lsn {
		return s, false
	}
	if want := in.Condition.Fence; want != nil && s.keys[want.Key].token != want.Token {
		return s, false
	}
	next := state{tail: in.FirstLsn + len(in.Keys) - 1, keys: map[string]positions{}}
	for name, at := range s.keys {
		next.keys[name] = at
	}
	for offset, name := range in.Keys {
		if name == nil {
			continue
		}
		at := positions{key: in.FirstLsn + offset, token: next.keys[*name].token}
		if in.Claim {
			at.token = at.key
		}
		next.keys[*name] = at
	}
	return next, true
}

func step(before state, in input) (state, bool) {
	switch in.Kind {
	case "append":
		return before.after(in)
	case "tail":
		return before, before.tail == in.TailLsn
	case "key":
		return before, before.keys[in.Key].key == in.KeyLsn
	case "token":
		return before, before.keys[in.Key].token == in.TokenLsn
	default:
		panic("no input is called " + in.Kind)
	}
}

// lost tells an operation that was never answered: it may have had an effect, or none.
type lost struct{ in input }

var model = porcupine.NondeterministicModel{
	Init: func() []interface{} { return []interface{}{state{keys: map[string]positions{}}} },
	Step: func(before, in, _ interface{}) []interface{} {
		if unanswered, is := in.(lost); is {
			states := []interface{}{before}
			if next, possible := step(before.(state), unanswered.in); possible {
				states = append(states, next)
			}
			return states
		}
		if next, possible := step(before.(state), in.(input)); possible {
			return []interface{}{next}
		}
		return nil
	},
	Equal: func(one, other interface{}) bool { return one.(state).text() == other.(state).text() },
}

func judge(history []operation) bool {
	var end int64
	for _, op := range history {
		end = max(end, op.Called+1)
		if op.Returned != nil {
			end = max(end, *op.Returned+1)
		}
	}
	operations := make([]porcupine.Operation, len(history))
	for at, op := range history {
		one := porcupine.Operation{ClientId: at, Input: op.Input, Call: op.Called, Return: end}
		if op.Returned != nil {
			one.Return = *op.Returned
		} else {
			one.Input = lost{op.Input}
		}
		operations[at] = one
	}
	return porcupine.CheckOperations(model.ToModel(), operations)
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var history []operation
		if err := json.Unmarshal(lines.Bytes(), &history); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		if judge(history) {
			fmt.Println("yes")
		} else {
			fmt.Println("no")
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}
