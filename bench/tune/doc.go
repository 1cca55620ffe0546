// Package tune finds out which cores, memory and configuration a workload
// runs best with, by running it with each.
//
// It owns the grid of settings, the order in which they are measured, what a
// run that ended badly counts as, and the choice. Every run is a process of
// its own (package child), since a setting decides things that a process decides
// once; how to run one is a function ([Runner]), so that all else can be
// tested without.
//
// # How it measures
//
//  1. A round runs every setting once, in an order drawn for that round: what
//     the machine does meanwhile falls on all settings alike.
//  2. A setting that runs out of memory or time, is refused, or fails has
//     that outcome, no number, and is not tried again. A wrong answer ends
//     everything.
//  3. Rounds end when all are done, or when the next run is not expected to
//     end within the budget.
//
// # How it chooses
//
// The fastest median is found; noise is the larger of Tolerance and half the
// typical spread of a setting's own runs. Of the settings whose median is
// within noise of the fastest, the one with the least memory is recommended,
// then the one with the fewest cores, then the fastest. The front holds the
// settings that no other beats in both time and memory.
package tune
