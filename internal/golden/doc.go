// Package golden compares what a test made with a file that was reviewed before: signed and stored bytes, generated
// documents, printed tables.
//
// It promises that a difference is shown by name of the file and by the first line that differs, and that a missing file
// is a failure. `go test ./quorum -update` writes the files anew; review the difference as what it is: a new version of
// whatever holds on to those bytes.
//
// What will hurt you: golden bytes of a signed kind are the protocol. Running -update to make a test green changes what
// the network's members sign.
package golden
