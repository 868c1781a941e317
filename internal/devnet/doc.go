// Package devnet is one command's local network: a simulated chain, a simulated Relay, users who earn and withdraw, and
// custodians as processes of their own, prepared with the commands that operators use.
//
// It promises that everything listens on loopback alone, and that nothing it started outlives it: custodians hold one end
// of a pipe and end when the other end closes, however this process died.
//
// You owe it the time of a key generation: the committee's key is real, only its preparameters were made ahead.
//
// What will hurt you: its keys are worthless. Operators' and users' keys lie in plain files below the network's folder, and
// the factors of the preparameters are published with this project.
package devnet
