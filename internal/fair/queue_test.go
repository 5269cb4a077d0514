package fair

import (
	"slices"
	"sort"
	"testing"

	"pgregory.net/rapid"
)

func TestAQueueIsInTheOrderOfRanksAndOfArrivalAmongEquals(t *testing.T) {
	t.Parallel()
	type guest struct {
		rank   float64
		number int
	}
	rapid.Check(t, func(t *rapid.T) {
		var q Queue[guest]
		var all []guest
		for i := range rapid.IntRange(1, 40).Draw(t, "arrivals") {
			g := guest{float64(rapid.IntRange(0, 5).Draw(t, "rank")), i}
			ahead := sort.Search(len(all), func(i int) bool { return all[i].rank > g.rank })
			if got := q.Ahead(g.rank); got != ahead {
				t.Fatalf("%d go before one of rank %v, want %d", got, g.rank, ahead)
			}
			q.Add(g, g.rank)
			all = slices.Insert(all, ahead, g)
			if rapid.Bool().Draw(t, "one leaves") {
				leaves := rapid.IntRange(0, len(all)-1).Draw(t, "who")
				if !q.Remove(all[leaves]) || q.Remove(all[leaves]) {
					t.Fatalf("%v was not in the queue once", all[leaves])
				}
				all = slices.Delete(all, leaves, leaves+1)
			}
		}
		if len(all) > 0 {
			if last, rank := q.Last(); last != all[len(all)-1] || rank != last.rank {
				t.Fatalf("the last is %v with rank %v, want %v", last, rank, all[len(all)-1])
			}
		}
		for _, want := range all {
			if got := q.First(); got != want {
				t.Fatalf("%v is the first, want %v", got, want)
			}
			q.Remove(want)
		}
		if q.Len() != 0 {
			t.Fatalf("%d are left", q.Len())
		}
	})
}

func TestAQueueThatHasBeenAsLongDoesNotAllocate(t *testing.T) {
	var q Queue[*Client]
	guests := make([]Client, 64)
	if n := testing.AllocsPerRun(10, func() {
		for i := range guests {
			q.Add(&guests[i], float64(i%7))
		}
		for i := range guests {
			q.Remove(&guests[i])
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
