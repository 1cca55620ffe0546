package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

const (
	// smallDiskInside says that this process is where the small disk is.
	smallDiskInside = "SMALLDISK_INSIDE"
	// noSmallDisk is the exit code that says that there cannot be one.
	noSmallDisk = 125
)

// smallDisk is a program for scripts:
//
//	smalldisk BYTES FOLDER COMMAND ARG…
//
// runs a command while FOLDER is a disk of so many bytes, and ends with its
// exit code; what the command left in the folder is named on standard error.
// It needs no rights: the disk is a tmpfs in name spaces of the process's
// own. Where the system lets nobody have those, no file may grow beyond
// BYTES, which is as real a failure of a write, of another cause.
func smallDisk() int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "smalldisk:", err)
		return noSmallDisk
	}
	if len(os.Args) < 4 {
		return fail(errors.New("usage: smalldisk BYTES FOLDER COMMAND ARG…"))
	}
	size, err := strconv.ParseUint(os.Args[1], 10, 63)
	if err != nil {
		return fail(err)
	}
	folder := os.Args[2]
	if os.Getenv(smallDiskInside) != "" {
		err = mountSmall(size, folder)
	} else if code := exitCode(inNameSpaces(os.Args).Run()); code != noSmallDisk {
		return code
	} else {
		err = limitFiles(size)
	}
	if err != nil {
		return fail(err)
	}
	code := exitCode(passOn(os.Args[3], os.Args[4:]...).Run())
	err = filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && path != folder {
			fmt.Fprintln(os.Stderr, "left", path)
		}
		return err
	})
	if err != nil {
		return fail(err)
	}
	return code
}

// passOn makes a command with this process's own input and output.
func passOn(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	return c
}

// exitCode returns the code of a command that was run; noSmallDisk when it
// could not be.
func exitCode(err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	return noSmallDisk
}
