package order

import (
	"slices"
	"strings"
	"time"

	"checkout/internal/redact"
)

// HistoryEntry is a line of an order's history: a change of state, a try that failed, or what an operator did.
type HistoryEntry struct {
	At      time.Time
	State   State  // after it
	Step    Step   // of a try that failed
	Problem string // why it failed, or why the state is what it is; free of personal data
	Times   int    // how often, when the same happened again and again; the last time at Last
	Last    time.Time
	By      string // the operator or the process that did it, if not the order's own course
}

// historyLength is how many entries are kept: the first half and the last. In between lie failures.
const historyLength = 48

// append adds an entry to the order's history. A failure just like the last one is counted with it.
func (o *Order) append(e HistoryEntry) {
	history := o.History // copies of the order share it
	if n := len(history); n > 0 {
		last := history[n-1]
		if e.Step != "" && last.State == e.State && last.Step == e.Step && last.Problem == e.Problem && last.By == e.By {
			last.Times, last.Last = max(last.Times, 1)+1, e.At
			o.History = slices.Concat(history[:n-1], []HistoryEntry{last})
			return
		}
	}
	if len(history) >= historyLength {
		const half = historyLength / 2
		history = slices.Concat(history[:half], history[half+1:])
	}
	o.History = slices.Concat(history, []HistoryEntry{e})
}

// failed adds a try that failed to the history.
func (o *Order) failed(step Step, cause error) {
	o.append(HistoryEntry{At: time.Now(), State: o.State, Step: step, Problem: brief(cause)})
}

// brief is the text of a cause, short enough for a record and masked like a log line: services quote what they were sent.
func brief(cause error) string {
	const most = 500
	text := redact.Text(cause.Error())
	return strings.ToValidUTF8(text[:min(len(text), most)], "�")
}
