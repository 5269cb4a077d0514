//go:build !linux

package store_test

import "io"

func mountedFile(string, io.Writer) error   { return nil }
func mountedFolder(string, io.Writer) error { return nil }
