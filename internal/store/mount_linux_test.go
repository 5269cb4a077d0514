package store_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"checkout/internal/store"
)

// TestAFileThatIsMountedWithoutItsFolderIsRefused runs in a process that has mounts of its own.
func TestAFileThatIsMountedWithoutItsFolderIsRefused(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"mounted file", "mounted folder"} {
		folder := filepath.Join(t.TempDir(), "a folder")
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		c := child(t, program, filepath.Join(folder, "orders.db"))
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWNS | syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := c.CombinedOutput()
		if _, ran := err.(*exec.ExitError); err != nil && !ran {
			t.Skipf("a process cannot have mounts of its own here: %v", err)
		}
		if strings.Contains(string(out), "cannot mount") {
			t.Skipf("%s", out)
		}
		if err != nil {
			t.Errorf("%s: %v: %s", program, err, out)
		}
	}
}

func mountedFile(path string, _ io.Writer) error {
	source := path + ".source"
	for _, file := range []string{path, source} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return err
		}
	}
	if err := syscall.Mount(source, path, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot mount: %w", err)
	}
	s, err := store.Open(path)
	if err == nil {
		_ = s.Close()
		return fmt.Errorf("%s, which is mounted without its folder, was opened", path)
	}
	if want := "mount the folder " + filepath.Dir(path) + " instead"; !strings.Contains(err.Error(), want) {
		return fmt.Errorf("Open says %w, want it to say %q", err, want)
	}
	return nil
}

func mountedFolder(path string, out io.Writer) error {
	source := filepath.Dir(path) + ".source"
	if err := os.Mkdir(source, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount(source, filepath.Dir(path), "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("cannot mount: %w", err)
	}
	return openAndClose(path, out)
}
