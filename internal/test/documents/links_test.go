package documents

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)\s]+))?\)`)
	for _, file := range append(documents(t), "ARCHITECTURE.md", "CHANGELOG.md") {
		page, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(page), -1) {
			target, section := found[1], found[2]
			if strings.Contains(target, "://") {
				continue
			}
			path := filepath.Join(root, file)
			if target != "" {
				path = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %s does not exist", file, target)
			} else if section != "" && !sections(t, path)[section] {
				t.Errorf("%s: %s has no section #%s", file, target, section)
			}
		}
	}
}

// sections are the anchors of a document's headings, as GitHub makes them.
func sections(t *testing.T, path string) map[string]bool {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	anchors := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(page), -1) {
		anchor := regexp.MustCompile(`[^\pL\pN _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		anchors[strings.ReplaceAll(anchor, " ", "-")] = true
	}
	return anchors
}

// The table of folders in ARCHITECTURE.md has every package.
func TestTheArchitectureNamesEveryPackage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	folders, err := filepath.Glob(filepath.Join(root, "internal", "*"))
	if err != nil || len(folders) < 20 {
		t.Fatalf("%d packages, %v", len(folders), err)
	}
	for _, folder := range folders {
		if name := "`internal/" + filepath.Base(folder); !strings.Contains(string(page), name+"`") && !strings.Contains(string(page), name+"/") {
			t.Errorf("ARCHITECTURE.md does not mention %s`", name)
		}
	}
}
