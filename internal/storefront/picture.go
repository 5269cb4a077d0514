package storefront

import (
	"fmt"
	"hash/fnv"
	"slices"
)

// fingerprint is a number of a text's own.
func fingerprint(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text)) // never fails: hash.Hash
	return h.Sum64()
}

// star is the i-th star of a sky, where bits say.
func star(bits uint64, i int) string {
	radius := []string{"0.6", "0.9", "1.3"}[i%3]
	return fmt.Sprintf(`<circle class="star" cx="%d" cy="%d" r="%s"/>`, 4+bits>>40%152, 4+bits>>20%82, radius)
}

// thing is the shape of what a product is, by its categories.
func thing(categories []string) string {
	for _, kind := range []struct{ category, shape string }{
		{"flashlights", `<path d="M40 40h46v18H40zM86 34l20-8v46l-20-8z"/><path class="glow" d="M108 28l38-16v74l-38-16z"/>`},
		{"books", `<path d="M48 24q16-6 32 4 16-10 32-4v44q-16-6-32 4-16-10-32-4z"/><path class="cut" d="M80 28v44"/>`},
		{"binoculars", `<path d="M44 30h22l6 14h16l6-14h22l8 40H92l-4-14H72l-4 14H36z"/>`},
		{"gifts", `<path d="M96 20a27 27 0 1 0 14 42 22 22 0 0 1-14-42z"/>`},
		{"assembly", `<path d="M36 70a44 44 0 0 1 88 0z"/><path class="cut" d="M80 26v30"/><path d="M30 72h100v6H30z"/>`},
		{"travel", `<circle cx="80" cy="45" r="24"/><path class="glow" d="M80 8v9M80 73v9M43 45h9M108 45h9M54 19l6 6M100 65l6 6M54 71l6-6M100 25l6-6"/>`},
		{"telescopes", `<path d="M34 52l76-30 8 20-76 30z"/><path d="M112 20l10-4 10 26-10 4z"/><path class="legs" d="M74 52l-13 32M80 52l13 32"/>`},
	} {
		if slices.Contains(categories, kind.category) {
			return kind.shape
		}
	}
	return `<circle cx="80" cy="45" r="24"/><circle class="hole" cx="80" cy="45" r="15"/>`
}
