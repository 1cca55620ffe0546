// Package suite runs every workload once, and shows all in one table.
//
// It owns the named sizes ([Sizes], the embedded file sizes.json), the suite
// folder, and the table. A workload that fails, or is refused, is a row like
// any other and stops none of the rest. How to run one is a function
// ([Runner]); the command line gives each a process of its own (package
// child).
//
// # The suite folder
//
//	suite.json   what was run and how each ended, rewritten after every workload
//	suite.txt    the table
//	WORKLOAD/    the run folder of each, as package folder describes it
//
// Figures are read from the run folders whenever the table is made, so a
// suite folder can be moved, and package compare takes two of them.
package suite
