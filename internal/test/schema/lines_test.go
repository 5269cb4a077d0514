package schema_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Lines of the log that no test brings about are found in the source.
func TestTheLinesThatTheServiceCanLogAreThoseDeclared(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if .Module}}{{if .Module.Main}}{{.Dir}}{{end}}{{end}}", "checkout/cmd/checkout")
	folders, err := list.Output()
	if err != nil {
		t.Fatalf("%v: %v", list, err)
	}
	var lines, texts []string
	for folder := range strings.FieldsSeq(string(folders)) {
		l, all := logged(t, folder)
		lines, texts = append(lines, l...), append(texts, all...)
	}
	if len(lines) < 20 {
		t.Fatalf("only %d lines are logged: %q", len(lines), lines)
	}
	declared := registry(t).Lines()
	for _, line := range lines {
		if !slices.Contains(declared, line) {
			t.Errorf("the log line %q is not declared", line)
		}
	}
	for _, line := range declared {
		if !slices.Contains(texts, line) {
			t.Errorf("the log line %q is declared, and not in the source", line)
		}
	}
}

// logged are the texts of the lines that the source in a folder logs by package slog's methods, and all of its texts.
func logged(t *testing.T, folder string) (lines, texts []string) {
	t.Helper()
	methods := []string{"Debug", "Info", "Warn", "Error", "DebugContext", "InfoContext", "WarnContext", "ErrorContext", "LogAttrs"}
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if text, ok := n.(*ast.BasicLit); ok && text.Kind == token.STRING {
				texts = append(texts, unquoted(t, text))
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains(methods, method.Sel.Name) {
				return true
			}
			if of, ok := method.X.(*ast.Ident); ok && slices.Contains([]string{"http", "status", "t"}, of.Name) { // not of slog
				return true
			}
			for _, arg := range call.Args { // the first text is the line's
				if text, ok := arg.(*ast.BasicLit); ok && text.Kind == token.STRING {
					lines = append(lines, unquoted(t, text))
					return true
				}
			}
			return true
		})
	}
	return lines, texts
}

func unquoted(t *testing.T, text *ast.BasicLit) string {
	t.Helper()
	s, err := strconv.Unquote(text.Value)
	if err != nil {
		t.Errorf("%s: %v", text.Value, err)
	}
	return s
}
