package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// inNameSpaces makes a command that runs this executable, as the program
// that args[0] names, with users and mounts of its own.
func inNameSpaces(args []string) *exec.Cmd {
	c := passOn("/proc/self/exe")
	c.Args = args
	c.Env = append(os.Environ(), smallDiskInside+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	return c
}

func mountSmall(size uint64, folder string) error {
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		return fmt.Errorf("cannot mount a disk of %d bytes at %s: %w", size, folder, err)
	}
	return nil
}

// limitFiles keeps every file of this process and its children below a size.
func limitFiles(size uint64) error {
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size})
}

// haveSmallDisks says whether scripts can have a disk of their own; where
// they cannot, smalldisk limits files.
func haveSmallDisks(dir string) bool {
	return exitCode(inNameSpaces([]string{"smalldisk", "65536", dir, "true"}).Run()) == 0
}
