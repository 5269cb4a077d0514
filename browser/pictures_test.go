//go:build browser

package browser

import (
	"flag"
	"fmt"
	"testing"
	"time"
)

var pictures = flag.Duration("pictures", 0, "for how `long` to let customers come before the README's pictures are taken; 0: take none")

// The pictures of the README: an order, fault injection in the middle of a crash, and the console when it has something
// to show.
func TestPicturesOfTheReadme(t *testing.T) {
	if *pictures == 0 {
		t.Skip("no pictures are wanted")
	}
	p := open(t, startShop(t, "-payment", "keyed", "-shipping", "keyed").url)
	p.fill()
	p.follow("#place-order")
	p.sees("#order-state", "completed")
	p.photograph("order.webp")

	p.visit("/faults")
	p.setLoad(10)
	p.letPass(*pictures / 3)
	p.visit("/faults")
	p.follow("#away-kafka")
	p.letPass(*pictures / 3)
	p.visit("/faults")
	p.follow("#away-kafka")
	p.unfold("#latency-ship")
	p.write("#latency-ship", "200")
	p.follow("#set-ship")
	p.letPass(*pictures / 3)
	p.size(1280, 1080)
	p.sees("#notice", "No order requires manual action.")
	p.await("document.querySelector('.stat.warn') === null") // or the machine is too busy for a picture
	p.photograph("console.webp")

	p.visit("/faults")
	p.unfold("#latency-ship")
	p.write("#latency-ship", "0")
	p.follow("#set-ship")
	p.follow("#preset-kill")
	p.sees("[data-testid=preset-order] td:nth-of-type(2)", "completed")
	served := "Number(document.querySelector('#load-placed').innerText)"
	p.await(fmt.Sprintf("%s > %d", served, read[int](p, served)+100)) // ten seconds of well served customers
	read[bool](p, "(scrollTo({top: 0, behavior: 'instant'}), true)")
	p.size(1280, 1760)
	p.photograph("faults.webp")
}

// letPass lets the console see so much more time.
func (p *tab) letPass(d time.Duration) {
	p.t.Helper()
	const point = 5 * time.Second // of a chart
	p.visit("/console/")
	p.sees("#stream", "live")
	points := "(document.querySelector('#plot-requests .line').getAttribute('d').match(/[ML]/g) ?? []).length"
	want := read[int](p, points) + int(d/point)
	for step := read[int](p, points); step < want; step = read[int](p, points) {
		p.await(fmt.Sprintf("%s > %d", points, step)) // each of them within the test's patience
	}
}
