// Command peers measures execbench beside what a user could pick instead, and
// beside what the machine allows: DuckDB, ClickHouse (embedded), Polars, GNU
// sort and Spark on the same work over the same bytes, and programs written
// by hand for each workload (package limit).
//
//	go run ./bench/peers setup                           # installs the peers, about 2 GB
//	go run ./bench/peers list                            # the rows and their sides
//	go run ./bench/peers prepare -rows 'join-*'          # builds, and makes the data
//	go run ./bench/peers -rows sort-1GB                  # measures one row
//	go run ./bench/peers -rows sort-1GB -sides 'limit,duckdb' -rounds 3 -out sort.md
//	go run ./bench/peers -rows 'groupby-*' -scale 0.01   # to try things out
//	go run ./bench/peers -rows tasks -execbench ./other  # another build of ours
//	go run ./bench/peers -rows 'join-*' -before ./old    # and an earlier one beside it
//
// Without -rows it measures all, which takes hours with all peers: about five by
// an estimate for two cores, two of them for the group-bys of 1e8 rows. The
// report is written after every round: -resume keeps all of an earlier one and
// goes on where that was interrupted, as long as the programs that are ours are
// the same; -keep measures its rows anew and keeps the others.
// A peer that is not installed is named and left out; without any, ours is
// measured alone. The data of all rows take about 35 GB; with -discard those of
// a row go when no further row needs them, and 20 GB are enough.
//
// -before measures an earlier build of execbench in the same rounds, behind
// ours, on every row. Ours ÷ that is what a change costs or gains.
//
// What is measured:
//
//   - Sides run in turn: A B C, then C B A, and so on. The first round is not
//     counted. Figures are medians with the smallest and the largest; ratios
//     are ours ÷ theirs of the same round.
//   - Rows from file to file compare whole processes, start included. What
//     every side writes in the round that is not counted and in the last is
//     verified by execbench verify; a wrong output is a failure and has no
//     figures. Outputs are removed off the clock, after each run, so that all
//     write new files and none waits for what another wrote to reach the disk.
//   - Rows in memory compare the query on loaded data: ours by the lines that
//     --samples prints, peers by such lines of their scripts; each the median
//     of three after one that warms up. Ours verifies its answers in the round
//     that is not counted. The limit programs make their own data, of the same
//     shape, for those rows, and so do all sides of k-means.
//   - Spark is timed inside a warm session: the seconds in which a JVM starts
//     do not count. CPU and RSS of its JVM are not in the table.
//   - Every side has two threads, and peers run near their defaults: a peer
//     at its best is faster than the peer here.
//   - Peak RSS of ours is held against the row's budget and 64 MiB.
//
// The data are those of execbench gen; tables become Parquet through DuckDB
// for who loads tables. They stay in the cache folder until somebody removes
// them, as do the peers, unless -discard is given.
//
// Differences under a third in one pass are ties on most machines: first
// touches of memory cost ten times the usual where a host takes free memory
// back. Repeat, and look at the spread.
package main
