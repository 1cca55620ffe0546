package scheduler

import (
	"fmt"
	"slices"
	"strings"

	"github.com/execbench/execbench/engine/event"
	"github.com/execbench/execbench/engine/id"
	"github.com/execbench/execbench/engine/task"
)

// Worlds whose descriptions of tasks have a limit, which some jobs come near.
// Of some task sets no description fits; others fail when a task is to go to
// an executor whose name is longer than those of the tasks that run.

// pad makes a job's descriptions about as large as the limit.
func (s *sim) pad(a act) string {
	return strings.Repeat("x", s.w.maxMessage-150+a.b/5%30)
}

// checkMessages checks that what is launched fits.
func (s *sim) checkMessages(first []byte, then []task.Launch) {
	check := func(desc []byte) {
		if s.w.maxMessage > 0 && len(desc) > s.w.maxMessage {
			s.t.Fatalf("a description of %d bytes is sent, the limit is %d", len(desc), s.w.maxMessage)
		}
	}
	check(first)
	for _, l := range then {
		check(l.Desc)
	}
}

// tooLarge reads the reason why a stage or a job failed, if it is the size of
// a description: both sizes and the limit's key must be in it.
func (s *sim) tooLarge(reason string) bool {
	if !strings.Contains(reason, "cannot be launched") {
		return false
	}
	var size, limit int
	_, text, _ := strings.Cut(reason, "its description of ")
	_, text, _ = strings.Cut(text, "(")
	_, err := fmt.Sscanf(text, "%d bytes) is above "+keyMessage, &size)
	_, text, _ = strings.Cut(text, "(")
	if _, err2 := fmt.Sscanf(text, "%d bytes)", &limit); err != nil || err2 != nil || limit != s.w.maxMessage || size <= limit {
		s.t.Fatalf("the limit is %d; it says %d of %d: %s", s.w.maxMessage, size, limit, reason)
	}
	return true
}

// stageTooLarge takes the end of a stage attempt: only the properties of a job
// that comes near the limit end it for the size of a description.
func (m *stream) stageTooLarge(s *sim, e *event.StageCompleted, bad func(string, ...any)) {
	if !s.tooLarge(e.Stage.Failure) || !strings.Contains(e.Stage.Failure, fmt.Sprintf(" in stage %v ", e.Stage.StageAttempt)) {
		return // it ends with a job of the stage that is named
	}
	s.tooLarges++
	if j := s.jobs[m.stages[e.Stage.StageAttempt].job]; j.spec.Properties["pad"] == "" {
		bad("stage %v has small descriptions: %s", e.Stage.StageAttempt, e.Stage.Failure)
	}
}

// jobTooLarge reports whether a job failed for the size of a description, which
// must be one of a stage of its own: others go on.
func (s *sim) jobTooLarge(n id.Job, err error) bool {
	if err == nil || !s.tooLarge(err.Error()) {
		return false
	}
	if !slices.ContainsFunc(s.stream.stagesOf[n], func(x id.Stage) bool { return strings.Contains(err.Error(), fmt.Sprintf(" in stage %d.", x)) }) {
		s.t.Fatalf("it is no stage of job %d: %v", n, err)
	}
	return true
}
