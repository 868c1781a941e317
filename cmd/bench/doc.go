// Command bench measures what docs/benchmarks.md reports and prints one `name value unit` line per figure.
//
// It promises that a ratio is honest: the median of pairs that run in reversed order each time, after a warm-up, with the
// plain side measured twice. A run whose plain side spreads by more than half, or differs from itself by more than a
// tenth, is called noisy, on stderr, and repeated.
//
// You owe it a machine with nothing else to do.
//
// What will hurt you: it measures this machine. Only a ratio says something about another one.
package main
