package storefront

import (
	"html/template"
	"strings"

	"checkout/gen/oteldemo"
)

// picture draws a product, before a sky. The colours are those of the design.
func picture(p *oteldemo.Product) template.HTML {
	const frame = `<svg class="picture" viewBox="0 0 160 90" aria-hidden="true"><rect class="sky" width="160" height="90" rx="6"/>` +
		`<path class="stars" d="M18 16h1M52 70h1M140 64h1M126 12h1M70 10h1M26 52h1M148 34h1"/>`
	colour, shape := drawing(p.GetName())
	return template.HTML(frame + `<g class="` + colour + `">` + shape + `</g></svg>`) //nolint:gosec // nothing in it comes from outside
}

// drawing is the shape of a product of that name, and its colour.
func drawing(name string) (colour, shape string) {
	const (
		tube = `<path d="M34 52l76-30 8 20-76 30z"/><path d="M112 20l10-4 10 26-10 4z"/>`
		legs = `<path class="legs" d="M74 52l-13 32M80 52l13 32"/>`
	)
	for _, one := range []struct{ name, colour, shape string }{
		{"Explorascope", "c1", tube + legs},
		{"Starsense", "c4", tube + legs + `<path d="M62 18h12v20h-12z"/><path class="cut" d="M66 23h4"/>`},
		{"Eclipsmart", "c3", tube + legs + `<circle class="glow" cx="140" cy="14" r="9"/><circle cx="137" cy="12" r="7"/>`},
		{"Lens Cleaning", "c2", `<path d="M36 34h22v40H36zM42 20h10v10H42z"/><circle cx="88" cy="52" r="20"/><circle class="hole" cx="88" cy="52" r="12"/><path class="legs" d="M118 74l14-44M126 20l12 6"/>`},
		{"Binoculars", "c2", `<path d="M44 26h26v36H44zM90 26h26v36H90zM70 34h20v14H70zM48 14h18v9H48zM94 14h18v9H94zM38 62h36v14H38zM86 62h36v14H86z"/><path class="cut" d="M44 54h26M90 54h26"/>`},
		{"Imager", "c4", `<path d="M46 24h44v44H46zM90 34h12v24H90zM102 30h14v32h-14z"/><circle class="hole" cx="68" cy="46" r="13"/><circle cx="68" cy="46" r="6"/>`},
		{"Flashlight", "c5", `<path d="M26 38h50v16H26zM76 34l20-8v40l-20-8z"/><path class="glow" d="M98 28l40-16v68L98 64z"/><path class="cut" d="M44 38v6"/>`},
		{"Tube Assembly", "c1", `<path d="M30 32h84v30H30zM114 28h12v38h-12zM60 22h34v6H60zM20 40h10v14H20z"/><path class="cut" d="M46 32v30M98 32v30"/>`},
		{"Solar Filter", "c3", `<circle cx="80" cy="45" r="34"/><circle class="hole" cx="80" cy="45" r="28"/><circle cx="80" cy="45" r="14"/><path class="legs" d="M80 22v4M80 64v4M57 45h4M99 45h4M64 29l3 3M93 58l3 3M64 61l3-3M93 32l3-3"/>`},
		{"Comet", "c4", `<path d="M40 20q20-8 40 4 20-12 40-4v52q-20-8-40 4-20-12-40-4z"/><path class="cut" d="M80 24v52"/><circle class="hole" cx="108" cy="54" r="5"/><path class="cut" d="M105 50l-14-14M109 48l-8-14"/>`},
		{"Moon", "c1", `<path d="M92 16a30 30 0 1 0 18 50 24 24 0 0 1-18-50z"/>`},
		{"Pencil", "c3", `<path d="M36 62l70-44 8 13-70 44-16 4z"/><path class="cut" d="M100 22l8 13"/><path d="M30 80h100v3H30z"/>`},
		{"Dome", "c1", `<path d="M38 66a42 42 0 0 1 84 0zM32 68h96v14H32z"/><path class="cut" d="M80 24l18-6M84 26l-2 38M96 30l4 34"/>`},
	} {
		if strings.Contains(name, one.name) {
			return one.colour, one.shape
		}
	}
	return "c5", `<path d="M62 24h36v44H62zM56 18h48v8H56z"/><circle class="hole" cx="80" cy="46" r="11"/>` // an eyepiece
}
