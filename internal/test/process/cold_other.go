//go:build !linux

package process

import (
	"errors"
	"os"
)

// forget cannot be done elsewhere, nor would there be a cgroup.
func forget(*os.File) error { return errors.ErrUnsupported }
