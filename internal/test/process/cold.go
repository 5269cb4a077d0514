package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// ColdCopy copies an executable to a temporary folder of its own, and makes the kernel drop it from memory: a cgroup is charged
// only for pages that it is the first to read. Remove the folder.
func ColdCopy(path string) (cold string, err error) {
	folder, err := os.MkdirTemp("", "cold-")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("copying %s: %w", path, err), os.RemoveAll(folder))
		}
	}()
	from, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer from.Close()
	cold = filepath.Join(folder, filepath.Base(path))
	to, err := os.OpenFile(cold, os.O_CREATE|os.O_WRONLY, 0o700) //nolint:gosec // it is to be executed
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync()); err == nil {
		err = forget(to)
	}
	return cold, errors.Join(err, to.Close())
}
