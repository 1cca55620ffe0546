// Package data makes, keeps and checks the data sets that workloads
// generate.
//
// A data set is a folder of files and, beside it and not in it, a manifest
// that says what made it and what every file must be:
//
//	terasort-1f0c…            the files
//	terasort-1f0c….data.json  the manifest, written last
//
// The folder alone is what a run reads, so whatever stands in it is data. A
// set is made under a temporary name and renamed when it is whole, after the
// free space was looked at; it is checked against its manifest every time it
// is used again. [Cache] finds sets by what made them; [Make] puts one where
// the user wants it.
package data
