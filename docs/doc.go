// Package docs is the documentation, and the tests that keep it true where a program can tell.
//
// It promises that every link between its files leads somewhere, and that every alert, wait and cause of a fuse that the
// code knows stands in operations.md, and every field that is signed in protocol.md. The pages api, config, errors and metrics are made from code by the tests of those
// packages.
//
// You owe it a row in operations.md for each new code.
//
// What will hurt you: prose. No test reads it.
package docs
