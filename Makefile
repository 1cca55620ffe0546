# Every target is one line around a command. "make" alone lists them.
# run, test, bench, golden, cover and clean need Go and make; lint fetches
# staticcheck through Go; race needs a C compiler; bench-peers measures alone
# what bench-peers-setup did not install something for.

SIZE        ?= 200MB
FUZZTIME    ?= 20s
BENCH       ?= .
ROWS        ?=
ROUNDS      ?= 5
OUT         ?= results/peers.md
BEFORE      ?=
FLAGS       ?=
SEED        ?= 0
SEEDS       ?= 10000
STEPS       ?= 1000
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
SOURCES      = $(shell find . -name '*.go' -not -path './.git/*')

.DEFAULT_GOAL := help
.PHONY: help run test race lint conformance sim soak fuzz bench bench-peers bench-peers-setup golden cover clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

execbench: $(SOURCES) go.mod go.sum
	go build -o $@ ./cmd/execbench

run: execbench ## generate data, run the main job, verify it, show where the time went (SIZE=200MB)
	./execbench run terasort --size $(SIZE)

test: ## all tests, in less than five minutes
	go test ./...

race: ## all tests under the race detector; needs a C compiler
	CGO_ENABLED=1 go test -race -timeout 20m ./...

lint: ## gofmt, vet, staticcheck, import directions and banned calls
	@bad=$$(gofmt -l $(SOURCES)); test -z "$$bad" || { echo "not formatted: $$bad"; exit 1; }
	go vet ./...
	go run $(STATICCHECK) ./...
	go test ./engine/internal/archtest

conformance: ## what became of each behaviour of engine/docs/conformance.md
	@go test -json ./engine/... ./bench/report/... | go run ./bench/conformance

sim: ## random worlds against the scheduler's core (SEEDS=10000 STEPS=1000; SEED=n: that one alone)
	go test ./engine/scheduler -run '^TestSimulation$$' -count 1 -v -timeout 60m -seed $(SEED) -seeds $(SEEDS) -steps $(STEPS)

soak: ## every file operation fails once, every file is damaged, every event interrupted, under the race detector (SEED=n)
	CGO_ENABLED=1 go test -race ./engine -run '^TestFaults' -count 1 -v -timeout 120m -soak -seed $(SEED)

fuzz: ## every fuzz target for a while (FUZZTIME=20s)
	@grep -rHo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func / /' | while read -r file target; do \
		echo "$$(dirname $$file) $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname $$file)" || exit 1; \
	done

bench: ## Go benchmarks, with what they allocate (BENCH=regexp)
	go test -run '^$$' -bench '$(BENCH)' -benchmem ./...

bench-peers: ## beside DuckDB, ClickHouse, Polars, GNU sort, Spark and hand-written limits (ROWS='sort-*' ROUNDS=5 OUT=FILE BEFORE=PROGRAM FLAGS=-resume)
	go run ./bench/peers run -rows '$(ROWS)' -rounds $(ROUNDS) -out $(OUT) -before '$(BEFORE)' $(FLAGS)

bench-peers-setup: ## install those for it, about 2 GB; needs npm, python3 and a JDK
	go run ./bench/peers setup

golden: ## rewrite the expected output of reports and scripts
	go test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u) -update

cover: ## how much of the code the tests reach
	go test -coverprofile coverage.out ./... && go tool cover -func coverage.out | tail -1

clean: ## remove what building, running and testing made
	test ! -x execbench || ./execbench clean
	rm -rf execbench results coverage.out
