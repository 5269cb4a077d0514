package sim

import (
	"fmt"
	"slices"
	"strings"
)

// fault is a kind of fault.
type fault uint8

const (
	none        fault = iota
	lost              // the call fails and has no effect
	unanswered        // the call has its effect, and fails
	hung              // the call has no effect and no answer
	hungAfter         // the call has its effect and no answer
	slow              // the call, or its answer, takes seconds
	late              // the call fails, and has its effect up to 100 s later
	doubled           // the call arrives once more, up to 100 s later
	crashBefore       // the process dies before the call leaves
	crashAfter        // the process dies after the call had its effect
	asleep            // the process is suspended for a minute, and does not notice
	cutOff            // the replica cannot reach the store for a while
	outage            // a service is unavailable for a while
	blackout          // nothing runs for more than a day
	restart           // the process is stopped and started again, gracefully
	unheard           // the answer does not reach the customer
	overload          // the admission refuses an order
	faults      = iota
)

var faultNames = [faults]string{
	"none", "lost", "unanswered", "hung", "hung-after", "slow", "late", "doubled", "crash-before", "crash-after",
	"asleep", "cut-off", "outage", "blackout", "restart", "unheard", "overload",
}

func (f fault) String() string { return faultNames[f] }

// set is a set of kinds of faults.
type set uint32

func of(faults ...fault) (s set) {
	for _, f := range faults {
		s |= 1 << f
	}
	return s
}

func (s set) has(f fault) bool { return s>>f&1 == 1 }

func (s set) String() string {
	var names []string
	for f := range fault(faults) {
		if s.has(f) {
			names = append(names, f.String())
		}
	}
	return strings.Join(names, ",")
}

// Set reads what String writes: it makes a set a flag.
func (s *set) Set(text string) error {
	for name := range strings.SplitSeq(text, ",") {
		f := slices.Index(faultNames[:], name)
		if f < 1 {
			return fmt.Errorf("no such fault: %q", name)
		}
		*s |= of(fault(f))
	}
	return nil
}
