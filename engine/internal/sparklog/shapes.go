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
	countField    kindOf = "an integer that is not negative"
	numberField   kindOf = "a number"
	positiveField kindOf = "a positive integer"
	textField     kindOf = "a string"
	boolField     kindOf = "a boolean"
	textMap       kindOf = "a map of strings"
	addressField  kindOf = "a block manager or null"
	reasonField   kindOf = "a task end reason"
	accumField    kindOf = "an accumulator's value"
)

// internalPrefix begins the names of accumulators that are Spark's own
// metrics: their values are numbers, those of all others texts.
const internalPrefix = "internal.metrics."

var (
	localities   = oneOf{"PROCESS_LOCAL", "NODE_LOCAL", "NO_PREF", "RACK_LOCAL", "ANY"}
	determinisms = oneOf{"DETERMINATE", "UNORDERED", "INDETERMINATE"}
	managerShape = shape{"Executor ID": textField, "Host": textField, "Port": positiveField}
	levelShape   = shape{"Use Disk": boolField, "Use Memory": boolField, "?Use Off Heap": boolField, "Deserialized": boolField, "Replication": countField}
	rddShape     = shape{"RDD ID": countField, "Name": textField, "?Scope": textField, "?Callsite": textField, "?Parent IDs": array{countField},
		"Storage Level": levelShape, "?Barrier": boolField, "?DeterministicLevel": determinisms, "Number of Partitions": countField,
		"Number of Cached Partitions": countField, "Memory Size": countField, "Disk Size": countField}
	// accumShape's values have the type that its name says.
	accumShape = shape{"ID": countField, "?Name": textField, "?Update": accumField, "?Value": accumField, "?Internal": boolField, "?Count Failed Values": boolField}
	stageShape = shape{"Stage ID": countField, "?Stage Attempt ID": countField, "Stage Name": textField, "Number of Tasks": countField,
		"RDD Info": array{rddShape}, "?Parent IDs": array{countField}, "?Details": textField, "?Submission Time": countField,
		"?Completion Time": countField, "?Failure Reason": textField, "?Accumulables": array{accumShape}, "?Resource Profile Id": countField,
		"?Shuffle Push Enabled": boolField, "?Shuffle Push Mergers Count": countField}
	taskShape = shape{"Task ID": countField, "Index": countField, "?Attempt": countField, "?Partition ID": integerField, "Launch Time": countField,
		"Executor ID": textField, "Host": textField, "Locality": localities, "?Speculative": boolField, "Getting Result Time": countField,
		"Finish Time": countField, "Failed": boolField, "?Killed": boolField, "?Accumulables": array{accumShape}}
	metricsShape = shape{"Executor Deserialize Time": countField, "?Executor Deserialize CPU Time": countField, "Executor Run Time": countField,
		"?Executor CPU Time": countField, "?Peak Execution Memory": countField, "?Peak On Heap Execution Memory": countField,
		"?Peak Off Heap Execution Memory": countField, "Result Size": countField, "JVM GC Time": countField, "Result Serialization Time": countField,
		"Memory Bytes Spilled": countField, "Disk Bytes Spilled": countField,
		"?Shuffle Read Metrics": shape{"Remote Blocks Fetched": countField, "Local Blocks Fetched": countField, "Fetch Wait Time": countField,
			"Remote Bytes Read": countField, "?Remote Bytes Read To Disk": countField, "?Local Bytes Read": countField,
			"?Total Records Read": countField, "?Remote Requests Duration": countField},
		"?Shuffle Write Metrics": shape{"Shuffle Bytes Written": countField, "Shuffle Write Time": countField, "?Shuffle Records Written": countField},
		"?Input Metrics":         shape{"Bytes Read": countField, "?Records Read": countField},
		"?Output Metrics":        shape{"Bytes Written": countField, "?Records Written": countField},
		"?Updated Blocks":        array{shape{}}}
	resourceShape = shape{"Resource Name": textField, "Amount": countField, "Discovery Script": textField, "Vendor": textField}
	reasonShapes  = map[string]shape{
		"Success": {}, "Resubmitted": {}, "TaskResultLost": {}, "UnknownReason": {},
		"FetchFailed": {"?Block Manager Address": addressField, "Shuffle ID": countField, "Map ID": integerField, "?Map Index": integerField,
			"Reduce ID": integerField, "?Message": textField},
		"ExceptionFailure": {"Class Name": textField, "Description": textField, "?Stack Trace": array{shape{"Declaring Class": textField,
			"Method Name": textField, "?File Name": textField, "Line Number": countField}}, "?Full Stack Trace": textField, "Accumulator Updates": array{accumShape}},
		"TaskKilled":          {"?Kill Reason": textField, "?Accumulator Updates": array{accumShape}},
		"TaskCommitDenied":    {"?Job ID": integerField, "?Partition ID": integerField, "?Attempt Number": integerField},
		"ExecutorLostFailure": {"?Executor ID": textField, "?Exit Caused By App": boolField, "?Loss Reason": textField},
	}
	eventShapes = map[string]shape{
		"SparkListenerLogStart": {"Spark Version": textField},
		"SparkListenerResourceProfileAdded": {"Resource Profile Id": countField,
			"Executor Resource Requests": shape{"cores": resourceShape, "memory": resourceShape},
			"Task Resource Requests":     shape{"cpus": shape{"Resource Name": textField, "Amount": numberField}}},
		"SparkListenerExecutorAdded": {"Timestamp": countField, "Executor ID": textField, "Executor Info": shape{"Host": textField,
			"Total Cores": countField, "Log Urls": textMap, "?Attributes": textMap, "?Resources": textMap, "?Resource Profile Id": countField}},
		"SparkListenerBlockManagerAdded": {"Block Manager ID": managerShape, "Maximum Memory": countField, "?Timestamp": integerField,
			"?Maximum Onheap Memory": countField, "Maximum Offheap Memory": countField},
		"SparkListenerExecutorRemoved":     {"Timestamp": countField, "Executor ID": textField, "Removed Reason": textField},
		"SparkListenerBlockManagerRemoved": {"Block Manager ID": managerShape, "?Timestamp": integerField},
		"SparkListenerEnvironmentUpdate": {"JVM Information": shape{"Java Version": textField, "Java Home": textField, "Scala Version": textField}, "Spark Properties": textMap, "?Hadoop Properties": textMap,
			"System Properties": textMap, "?Metrics Properties": textMap, "Classpath Entries": textMap},
		"SparkListenerApplicationStart": {"App Name": textField, "App ID": textField, "Timestamp": countField, "User": textField},
		"SparkListenerApplicationEnd":   {"Timestamp": countField, "?ExitCode": countField},
		"SparkListenerJobStart": {"Job ID": countField, "?Submission Time": countField, "?Stage Infos": array{stageShape},
			"Stage IDs": array{countField}, "?Properties": textMap},
		"SparkListenerJobEnd": {"Job ID": countField, "?Completion Time": countField, "Job Result": shape{"Result": oneOf{"JobSucceeded", "JobFailed"},
			"?Exception": shape{"?Message": textField, "?Stack Trace": array{shape{}}}}},
		"SparkListenerStageSubmitted":    {"Stage Info": stageShape, "?Properties": textMap},
		"SparkListenerStageCompleted":    {"Stage Info": stageShape},
		"SparkListenerTaskStart":         {"Stage ID": countField, "?Stage Attempt ID": countField, "Task Info": taskShape},
		"SparkListenerTaskGettingResult": {"Task Info": taskShape},
		"SparkListenerTaskEnd": {"Stage ID": countField, "?Stage Attempt ID": countField, "Task Type": oneOf{"ResultTask", "ShuffleMapTask"},
			"Task End Reason": reasonField, "Task Info": taskShape, "?Task Metrics": metricsShape},
		"org.apache.spark.scheduler.SparkListener" + "SpeculativeTaskSubmitted": {"stageId": countField, "stageAttemptId": countField},
		"org.apache.spark.scheduler.SparkListener" + "ExecutorExcluded":         {"time": countField, "executorId": textField, "taskFailures": countField},
		"org.apache.spark.scheduler.SparkListener" + "ExecutorExcludedForStage": {"time": countField, "executorId": textField, "taskFailures": countField, "stageId": countField, "stageAttemptId": countField},
		"org.apache.spark.scheduler.SparkListener" + "NodeExcluded":             {"time": countField, "hostId": textField, "executorFailures": countField},
		"org.apache.spark.scheduler.SparkListener" + "NodeExcludedForStage":     {"time": countField, "hostId": textField, "executorFailures": countField, "stageId": countField, "stageAttemptId": countField},
		"org.apache.spark.scheduler.SparkListener" + "ExecutorUnexcluded":       {"time": countField, "executorId": textField},
		"org.apache.spark.scheduler.SparkListener" + "NodeUnexcluded":           {"time": countField, "hostId": textField},
		"SparkListenerUnpersistRDD":                                             {"RDD ID": countField},
		"SparkListenerBlockUpdated": {"Block Updated Info": shape{"Block Manager ID": managerShape, "Block ID": textField,
			"Storage Level": levelShape, "Memory Size": countField, "Disk Size": countField}},
		"SparkListenerStageExecutorMetrics": {"Executor ID": textField, "Stage ID": countField, "Stage Attempt ID": countField, "Executor Metrics": shape{
			"?JVMHeapMemory": countField, "?OffHeapUnifiedMemory": countField, "?ProcessTreeJVMRSSMemory": countField,
			"?MinorGCCount": countField, "?MinorGCTime": countField, "?TotalGCTime": countField}},
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
			if kind == accumField && strings.HasPrefix(fmt.Sprint(m["Name"]), internalPrefix) {
				kind = countField
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
		case countField, positiveField:
			n, _ := v.(json.Number)
			if p, err := n.Int64(); err != nil || p < 0 || p == 0 && want == positiveField {
				return wrong()
			}
		case numberField:
			if _, ok := v.(json.Number); !ok {
				return wrong()
			}
		case textField, accumField:
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
