// Package sparklog knows what a line of Spark's event log must look like, so
// that tests can check the logs that the engine writes: the file rules, field
// tables and order of spark-semantics §10.
package sparklog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The field tables of Spark's event log (spark-semantics §10.3), as a shape
// that a line must have: what the History Server's parser requires, and the
// types that it insists on even for fields that may be missing.
type (
	shape  map[string]any // field, "?" in front when it may be missing → kind
	array  struct{ of any }
	oneOf  []string
	kindOf string
)

const (
	integerField  kindOf = "an integer"
	numberField   kindOf = "a number"
	positiveField kindOf = "a positive integer"
	textField     kindOf = "a string"
	boolField     kindOf = "a boolean"
	textMap       kindOf = "a map of strings"
	addressField  kindOf = "a block manager or null"
	reasonField   kindOf = "a task end reason"
)

var (
	localities   = oneOf{"PROCESS_LOCAL", "NODE_LOCAL", "NO_PREF", "RACK_LOCAL", "ANY"}
	determinisms = oneOf{"DETERMINATE", "UNORDERED", "INDETERMINATE"}
	managerShape = shape{"Executor ID": textField, "Host": textField, "Port": positiveField}
	levelShape   = shape{"Use Disk": boolField, "Use Memory": boolField, "?Use Off Heap": boolField, "Deserialized": boolField, "Replication": integerField}
	rddShape     = shape{"RDD ID": integerField, "Name": textField, "?Scope": textField, "?Callsite": textField, "?Parent IDs": array{integerField},
		"Storage Level": levelShape, "?Barrier": boolField, "?DeterministicLevel": determinisms, "Number of Partitions": integerField,
		"Number of Cached Partitions": integerField, "Memory Size": integerField, "Disk Size": integerField}
	accumShape = shape{"ID": integerField, "?Name": textField, "?Update": textField, "?Value": textField, "?Internal": boolField, "?Count Failed Values": boolField}
	stageShape = shape{"Stage ID": integerField, "?Stage Attempt ID": integerField, "Stage Name": textField, "Number of Tasks": integerField,
		"RDD Info": array{rddShape}, "?Parent IDs": array{integerField}, "?Details": textField, "?Submission Time": integerField,
		"?Completion Time": integerField, "?Failure Reason": textField, "?Accumulables": array{accumShape}, "?Resource Profile Id": integerField,
		"?Shuffle Push Enabled": boolField, "?Shuffle Push Mergers Count": integerField}
	taskShape = shape{"Task ID": integerField, "Index": integerField, "?Attempt": integerField, "?Partition ID": integerField, "Launch Time": integerField,
		"Executor ID": textField, "Host": textField, "Locality": localities, "?Speculative": boolField, "Getting Result Time": integerField,
		"Finish Time": integerField, "Failed": boolField, "?Killed": boolField, "?Accumulables": array{accumShape}}
	metricsShape = shape{"Executor Deserialize Time": integerField, "?Executor Deserialize CPU Time": integerField, "Executor Run Time": integerField,
		"?Executor CPU Time": integerField, "?Peak Execution Memory": integerField, "?Peak On Heap Execution Memory": integerField,
		"?Peak Off Heap Execution Memory": integerField, "Result Size": integerField, "JVM GC Time": integerField, "Result Serialization Time": integerField,
		"Memory Bytes Spilled": integerField, "Disk Bytes Spilled": integerField,
		"?Shuffle Read Metrics": shape{"Remote Blocks Fetched": integerField, "Local Blocks Fetched": integerField, "Fetch Wait Time": integerField,
			"Remote Bytes Read": integerField, "?Remote Bytes Read To Disk": integerField, "?Local Bytes Read": integerField,
			"?Total Records Read": integerField, "?Remote Requests Duration": integerField},
		"?Shuffle Write Metrics": shape{"Shuffle Bytes Written": integerField, "Shuffle Write Time": integerField, "?Shuffle Records Written": integerField},
		"?Input Metrics":         shape{"Bytes Read": integerField, "?Records Read": integerField},
		"?Output Metrics":        shape{"Bytes Written": integerField, "?Records Written": integerField},
		"?Updated Blocks":        array{shape{}}}
	resourceShape = shape{"Resource Name": textField, "Amount": integerField, "Discovery Script": textField, "Vendor": textField}
	reasonShapes  = map[string]shape{
		"Success": {}, "Resubmitted": {}, "TaskResultLost": {}, "UnknownReason": {},
		"FetchFailed": {"?Block Manager Address": addressField, "Shuffle ID": integerField, "Map ID": integerField, "?Map Index": integerField,
			"Reduce ID": integerField, "?Message": textField},
		"ExceptionFailure": {"Class Name": textField, "Description": textField, "?Stack Trace": array{shape{"Declaring Class": textField,
			"Method Name": textField, "?File Name": textField, "Line Number": integerField}}, "?Full Stack Trace": textField, "Accumulator Updates": array{accumShape}},
		"TaskKilled":          {"?Kill Reason": textField, "?Accumulator Updates": array{accumShape}},
		"TaskCommitDenied":    {"?Job ID": integerField, "?Partition ID": integerField, "?Attempt Number": integerField},
		"ExecutorLostFailure": {"?Executor ID": textField, "?Exit Caused By App": boolField, "?Loss Reason": textField},
	}
	eventShapes = map[string]shape{
		"SparkListenerLogStart": {"Spark Version": textField},
		"SparkListenerResourceProfileAdded": {"Resource Profile Id": integerField,
			"Executor Resource Requests": shape{"cores": resourceShape, "memory": resourceShape},
			"Task Resource Requests":     shape{"cpus": shape{"Resource Name": textField, "Amount": numberField}}},
		"SparkListenerExecutorAdded": {"Timestamp": integerField, "Executor ID": textField, "Executor Info": shape{"Host": textField,
			"Total Cores": integerField, "Log Urls": textMap, "?Attributes": textMap, "?Resources": textMap, "?Resource Profile Id": integerField}},
		"SparkListenerBlockManagerAdded": {"Block Manager ID": managerShape, "Maximum Memory": integerField, "?Timestamp": integerField,
			"?Maximum Onheap Memory": integerField, "Maximum Offheap Memory": integerField},
		"SparkListenerExecutorRemoved":     {"Timestamp": integerField, "Executor ID": textField, "Removed Reason": textField},
		"SparkListenerBlockManagerRemoved": {"Block Manager ID": managerShape, "?Timestamp": integerField},
		"SparkListenerEnvironmentUpdate": {"JVM Information": textMap, "Spark Properties": textMap, "?Hadoop Properties": textMap,
			"System Properties": textMap, "?Metrics Properties": textMap, "Classpath Entries": textMap},
		"SparkListenerApplicationStart": {"App Name": textField, "App ID": textField, "Timestamp": integerField, "User": textField},
		"SparkListenerApplicationEnd":   {"Timestamp": integerField, "?ExitCode": integerField},
		"SparkListenerJobStart": {"Job ID": integerField, "?Submission Time": integerField, "?Stage Infos": array{stageShape},
			"Stage IDs": array{integerField}, "?Properties": textMap},
		"SparkListenerJobEnd": {"Job ID": integerField, "?Completion Time": integerField, "Job Result": shape{"Result": oneOf{"JobSucceeded", "JobFailed"},
			"?Exception": shape{"?Message": textField, "?Stack Trace": array{shape{}}}}},
		"SparkListenerStageSubmitted":    {"Stage Info": stageShape, "?Properties": textMap},
		"SparkListenerStageCompleted":    {"Stage Info": stageShape},
		"SparkListenerTaskStart":         {"Stage ID": integerField, "?Stage Attempt ID": integerField, "Task Info": taskShape},
		"SparkListenerTaskGettingResult": {"Task Info": taskShape},
		"SparkListenerTaskEnd": {"Stage ID": integerField, "?Stage Attempt ID": integerField, "Task Type": oneOf{"ResultTask", "ShuffleMapTask"},
			"Task End Reason": reasonField, "Task Info": taskShape, "?Task Metrics": metricsShape},
		"org.apache.spark.scheduler.SparkListener" + "SpeculativeTaskSubmitted": {"stageId": integerField, "stageAttemptId": integerField},
		"org.apache.spark.scheduler.SparkListener" + "ExecutorExcluded":         {"time": integerField, "executorId": textField, "taskFailures": integerField},
		"org.apache.spark.scheduler.SparkListener" + "ExecutorExcludedForStage": {"time": integerField, "executorId": textField, "taskFailures": integerField, "stageId": integerField, "stageAttemptId": integerField},
		"org.apache.spark.scheduler.SparkListener" + "NodeExcluded":             {"time": integerField, "hostId": textField, "executorFailures": integerField},
		"org.apache.spark.scheduler.SparkListener" + "NodeExcludedForStage":     {"time": integerField, "hostId": textField, "executorFailures": integerField, "stageId": integerField, "stageAttemptId": integerField},
		"org.apache.spark.scheduler.SparkListener" + "ExecutorUnexcluded":       {"time": integerField, "executorId": textField},
		"org.apache.spark.scheduler.SparkListener" + "NodeUnexcluded":           {"time": integerField, "hostId": textField},
		"SparkListenerUnpersistRDD":                                             {"RDD ID": integerField},
		"SparkListenerBlockUpdated": {"Block Updated Info": shape{"Block Manager ID": managerShape, "Block ID": textField,
			"Storage Level": levelShape, "Memory Size": integerField, "Disk Size": integerField}},
		"SparkListenerStageExecutorMetrics": {"Executor ID": textField, "Stage ID": integerField, "Stage Attempt ID": integerField, "Executor Metrics": shape{
			"?JVMHeapMemory": integerField, "?OffHeapUnifiedMemory": integerField, "?ProcessTreeJVMRSSMemory": integerField,
			"?MinorGCCount": integerField, "?MinorGCTime": integerField, "?TotalGCTime": integerField}},
	}
)

// misfit says where v departs from the shape, "" when it fits. Fields that
// the shape does not name are misfits too: the tables list all that we write.
func misfit(at string, v any, want any) string {
	wrong := func() string { return fmt.Sprintf("%s is %v, want %v", at, v, want) }
	switch want := want.(type) {
	case shape:
		m, ok := v.(map[string]any)
		if !ok {
			return at + " is not an object"
		}
		known := make(map[string]bool)
		for name, kind := range want {
			field, optional := strings.CutPrefix(name, "?")
			known[field] = true
			value, there := m[field]
			if !there {
				if !optional {
					return at + "." + field + " is missing"
				}
				continue
			}
			if bad := misfit(at+"."+field, value, kind); bad != "" {
				return bad
			}
		}
		for field := range m {
			if !known[field] && field != "Event" && field != "Reason" {
				return at + "." + field + " is not in the tables"
			}
		}
	case array:
		list, ok := v.([]any)
		if !ok {
			return at + " is not an array"
		}
		for i, e := range list {
			if bad := misfit(fmt.Sprintf("%s[%d]", at, i), e, want.of); bad != "" {
				return bad
			}
		}
	case oneOf:
		if text, ok := v.(string); !ok || !slices.Contains(want, text) {
			return wrong()
		}
	case kindOf:
		switch want {
		case integerField:
			n, ok := v.(json.Number)
			if _, err := n.Int64(); !ok || err != nil {
				return wrong()
			}
		case positiveField:
			n, _ := v.(json.Number)
			if p, err := n.Int64(); err != nil || p <= 0 {
				return wrong()
			}
		case numberField:
			if _, ok := v.(json.Number); !ok {
				return wrong()
			}
		case textField:
			if _, ok := v.(string); !ok {
				return wrong()
			}
		case boolField:
			if _, ok := v.(bool); !ok {
				return wrong()
			}
		case textMap:
			m, ok := v.(map[string]any)
			if !ok {
				return wrong()
			}
			for _, e := range m {
				if _, ok := e.(string); !ok {
					return wrong()
				}
			}
		case addressField:
			if v != nil {
				return misfit(at, v, managerShape)
			}
		case reasonField:
			m, _ := v.(map[string]any)
			name, _ := m["Reason"].(string)
			s, known := reasonShapes[name]
			if !known {
				return wrong()
			}
			return misfit(at, v, s)
		}
	}
	return ""
}

// Check returns what keeps the History Server from reading a log whole, or
// from reading it right: file rules of §10.1, fields of §10.3, order of §10.2.
// whole says that it tells of a whole session: stages of their jobs, attempts
// of executors that are there, and of each start its end, with a time.
func Check(text string, whole bool) (faults []string) {
	bad := func(line int, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("line %d: ", line)+fmt.Sprintf(format, args...))
	}
	var events []string
	submitted := make(map[string]bool) // stages by id and attempt
	running := make(map[string]bool)   // tasks by id
	named := make(map[string]bool)     // stages that a job's start lists, by id
	there := make(map[string]bool)     // executors
	open := make(map[string]int)       // what began and has not ended: the line of its start
	for l := range strings.Lines(text) {
		n := len(events) + 1
		d := json.NewDecoder(strings.NewReader(l))
		d.UseNumber()
		var v map[string]any
		if err := d.Decode(&v); err != nil {
			bad(n, "%v", err)
			return faults
		}
		event, _ := v["Event"].(string)
		events = append(events, event)
		s, known := eventShapes[event]
		if !known {
			bad(n, "unknown event %q", event)
			continue
		}
		// The listing pass of the History Server matches the line's first bytes.
		if !strings.HasPrefix(l, `{"Event":"`+event+`",`) {
			bad(n, "it does not begin with its event: %.60s", l)
		}
		if m := misfit(event, v, s); m != "" {
			bad(n, "%s", m)
			continue
		}
		field := func(path ...string) string {
			var at any = v
			for _, p := range path {
				at = at.(map[string]any)[p]
			}
			return fmt.Sprint(at)
		}
		switch event {
		case "SparkListenerExecutorAdded":
			there[field("Executor ID")] = true
		case "SparkListenerExecutorRemoved":
			delete(there, field("Executor ID"))
		case "SparkListenerJobStart":
			infos, _ := v["Stage Infos"].([]any)
			ids := []string{}
			for _, s := range infos {
				ids = append(ids, fmt.Sprint(s.(map[string]any)["Stage ID"]))
				named[ids[len(ids)-1]] = true
			}
			if list := fmt.Sprint(v["Stage IDs"]); list != fmt.Sprint(ids) {
				bad(n, "stages %s, described are %v", list, ids)
			}
			open["job "+field("Job ID")] = n
		case "SparkListenerJobEnd":
			delete(open, "job "+field("Job ID"))
		case "SparkListenerStageCompleted":
			delete(open, "stage "+field("Stage Info", "Stage ID")+"."+field("Stage Info", "Stage Attempt ID"))
		case "SparkListenerStageSubmitted":
			if whole && !named[field("Stage Info", "Stage ID")] {
				bad(n, "a stage of no job")
			}
			open["stage "+field("Stage Info", "Stage ID")+"."+field("Stage Info", "Stage Attempt ID")] = n
			submitted[field("Stage Info", "Stage ID")+"."+field("Stage Info", "Stage Attempt ID")] = true
		case "SparkListenerTaskStart":
			if !submitted[field("Stage ID")+"."+field("Stage Attempt ID")] {
				bad(n, "task of a stage that was not submitted")
			}
			if whole && !there[field("Task Info", "Executor ID")] {
				bad(n, "task on executor %s, which is not there", field("Task Info", "Executor ID"))
			}
			running[field("Task Info", "Task ID")] = true
			open["task "+field("Task Info", "Task ID")] = n
		case "SparkListenerTaskEnd":
			if !running[field("Task Info", "Task ID")] {
				bad(n, "end of a task that did not start")
			}
			if whole && field("Task Info", "Finish Time") == "0" {
				bad(n, "a task ended at 0")
			}
			delete(open, "task "+field("Task Info", "Task ID"))
		}
	}
	for what, line := range open {
		if whole {
			bad(line, "%s does not end", what)
		}
	}
	position := func(event string) int { return slices.Index(events, event) }
	if position("SparkListenerLogStart") != 0 || position("SparkListenerEnvironmentUpdate") < 0 ||
		position("SparkListenerApplicationStart") < position("SparkListenerEnvironmentUpdate") ||
		position("SparkListenerApplicationStart") > position("SparkListenerJobStart") ||
		events[len(events)-1] != "SparkListenerApplicationEnd" {
		bad(0, "events in the order %v", events)
	}
	return faults
}
