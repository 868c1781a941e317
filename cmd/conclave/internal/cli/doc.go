// Package cli is what every verb of the command shares: exit codes, errors of one line with a hint, JSON or tables, colours
// on a terminal only.
//
// It promises that an error leaves as `conclave: what: why`, then `hint: …` where there is one, and with the exit code that
// scripts hold on to: 0 done, 1 failed, 2 usage or configuration, 3 refused by rule or quorum, 4 sealed or halted.
//
// You owe it errors that say what was being done; it adds no words. Whatever cobra itself refuses (a flag, an argument, a
// verb) is usage.
//
// What will hurt you: stdout is for what was asked, and may be piped; notes for people go through [Env.Note] to stderr.
package cli
