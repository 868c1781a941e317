// Package daemon starts a custodian from its home: it reads what the operator put there, opens the vault, joins the real
// network, Relay and chains to a node, and serves the node and its API until told to end.
//
// It promises that whatever can be refused is refused before anything is opened for writing, listened on or sent, in one
// error that says what, why and what to do ([Problem]); that a home serves one process at a time; and that [Daemon.Run]
// returns only when everything that it started has ended.
//
// You owe it a password when [Options.Password] is called, and nothing else: it reads no terminal and no environment.
//
// What will hurt you. A network whose name begins with "devnet" is a development network ([Development]): its members may
// use preparameters whose factors are published with this project, so its keys are worth nothing. A home whose vault
// holds shares while its books are gone does not start: it has signed things that it no longer knows of.
package daemon
