// Package documents tests that the commands in the documents run.
package documents

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the repository.
const root = "../../.."

// command is a command of a document.
type command struct {
	file  string
	block int
	text  string

	needs string // why it is not run
	stays bool   // it runs until Ctrl-C
	fails bool   // its exit status is 1
}

// commands returns what stands in the blocks of sh of a document: each line that is no comment, with its continuation lines
// and its here-document.
//
// A comment says how a command is run, at the end of its line or, for all commands of a block, on the first line of it:
// "# needs …" and "# takes …" are not run, "# until Ctrl-C" is interrupted at the end, "# exit status 1" may fail.
func commands(t *testing.T, file string) (all []command) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	if hidden := regexp.MustCompile("(?m)^```\n(?:bin/|cd|checkout|curl|docker|export|go|helm|kill|kubectl|make) .*").FindString(string(page)); hidden != "" {
		t.Errorf("%s: begin the block of a command with ```sh: %s", file, hidden)
	}
	comment := regexp.MustCompile(`(?:^|\s)# (.*)$`)
	for n, block := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```").FindAllStringSubmatch(string(page), -1) {
		lines := strings.Split(strings.TrimSuffix(block[1], "\n"), "\n")
		var ofBlock string
		for i := 0; i < len(lines); i++ {
			line := lines[i]
			switch {
			case strings.TrimSpace(line) == "":
				continue
			case strings.HasPrefix(line, "# "):
				if i == 0 {
					ofBlock = line[len("# "):]
				}
				continue
			}
			c := command{file: file, block: n, text: line}
			remark := ofBlock
			if found := comment.FindStringSubmatch(line); found != nil {
				remark += "; " + found[1]
			}
			for strings.HasSuffix(lines[i], `\`) && i+1 < len(lines) {
				i++
				c.text += "\n" + lines[i]
				if found := comment.FindStringSubmatch(lines[i]); found != nil {
					remark += "; " + found[1]
				}
			}
			if found := regexp.MustCompile(`<<'?(\w+)'?`).FindStringSubmatch(c.text); found != nil {
				for i+1 < len(lines) && lines[i] != found[1] {
					i++
					c.text += "\n" + lines[i]
				}
			}
			c.needs = regexp.MustCompile(`\b(needs|takes) .*`).FindString(remark)
			c.stays = strings.Contains(remark, "until Ctrl-C")
			c.fails = strings.Contains(remark, "exit status 1")
			all = append(all, c)
		}
	}
	return all
}

// documents are the files with commands for users and operators.
func documents(t *testing.T) (files []string) {
	t.Helper()
	for _, place := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "docs", "deploy", "real"} {
		err := filepath.WalkDir(filepath.Join(root, place), func(path string, entry fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && !entry.IsDir() && strings.HasSuffix(path, ".md") {
				name, _ := filepath.Rel(root, path)
				files = append(files, name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// Every command in every document runs as it is written, or says in its comment what it needs.
func TestCommandsOfTheDocumentsRun(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds all commands")
	}
	for _, port := range []string{"5050", "5051", "8070"} { // the documents name them
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			t.Skipf("NOT CHECKED: the commands of the documents: port %s is in use", port)
		}
		_ = l.Close()
	}
	u := newUser(t)
	t.Run("within sentences", func(t *testing.T) { sentences(t, u.session(t)) })
	for _, file := range documents(t) {
		all := commands(t, file)
		if len(all) == 0 {
			continue
		}
		t.Run(file, func(t *testing.T) {
			s := u.session(t)
			for _, c := range all {
				first, _, _ := strings.Cut(c.text, "\n")
				if c.needs != "" {
					t.Logf("not run: %s (%s)", first, c.needs)
					continue
				}
				s.run(t, c)
			}
		})
	}
}

// sentences checks that commands within sentences exist, with their flags.
func sentences(t *testing.T, s *session) {
	t.Helper()
	help := map[string]string{}
	for _, file := range documents(t) {
		page, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, quoted := range regexp.MustCompile("`checkout ([a-z][^`\n]*)`").FindAllStringSubmatch(string(page), -1) {
			words := strings.Fields(quoted[1])
			path := words[:1]
			if words[0] == "order" || words[0] == "record" || words[0] == "audit" {
				path = words[:min(2, len(words))]
			}
			name := strings.Join(path, " ")
			if help[name] == "" {
				status, printed := s.output(t, "checkout "+name+" --help")
				if status != 0 || !strings.Contains(printed, "Usage:\n  checkout "+name) {
					t.Errorf("%s: there is no command `checkout %s`", file, name)
				}
				help[name] = printed
			}
			for _, word := range words[len(path):] {
				flag, _, _ := strings.Cut(strings.TrimLeft(word, "-"), "=")
				if strings.HasPrefix(word, "-") && flag != "json" && !regexp.MustCompile(`--?`+regexp.QuoteMeta(flag)+`\b`).MatchString(help[name]) {
					t.Errorf("%s: `checkout %s` has no flag %s", file, quoted[1], word)
				}
			}
		}
	}
}

func TestCommandsAreFoundInADocument(t *testing.T) {
	t.Parallel()
	if len(commands(t, "README.md")) < 4 || !slices.Contains(documents(t), filepath.Join("docs", "orders.md")) {
		t.Errorf("commands of README.md: %+v; documents: %q", commands(t, "README.md"), documents(t))
	}
}
