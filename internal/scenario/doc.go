// Package scenario runs stories about a committee that are written as text: what happens, what must come of it, and why.
//
// What it does. A file of testdata is one story: lines of commands, comments behind #. [Parse] reads it, [Script.Run] plays
// it in a simnet world. When the story is over, every custodian is crashed, every disk is compared with the others and
// with the chain, and the story fails if any invariant does not hold, whatever the lines asked for.
//
// What it promises. A line that cannot be understood is an error with its number; a command never waits without a limit.
// The trace (go test -v) tells what each line did and what the custodians logged, with the virtual time.
//
// What you owe it. Run it inside a testing/synctest bubble. Say in the file's head which rule the story guards and by which
// change of the code it was seen to fail.
//
// What will hurt you. A wait that is satisfied at once proves little: an expectation that something does not happen
// must stand behind a wait long enough for it to have happened.
package scenario
