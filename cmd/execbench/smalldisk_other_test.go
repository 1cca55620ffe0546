//go:build !linux

package main

import (
	"errors"
	"os/exec"
)

func inNameSpaces([]string) *exec.Cmd { return exec.Command("") }

func mountSmall(uint64, string) error { return errors.ErrUnsupported }

func limitFiles(uint64) error { return errors.ErrUnsupported }

func haveSmallDisks(string) bool { return false }
