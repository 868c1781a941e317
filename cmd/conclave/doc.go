// Command conclave is the custodian: one binary that prepares a home, founds or joins a network, runs the node and asks it.
//
// It promises the names, the exit codes (0 done, 1 failed, 2 usage or configuration, 3 refused by rule or quorum, 4 sealed
// or halted) and the JSON that scripts hold on to. A verb that refuses has changed nothing on disk.
//
// You owe it an operator: the key that signs governance is cold, and no verb of a running node ever asks for it.
//
// What will hurt you: a home holds the identity (node.key). Two homes with one identity are one Byzantine member.
package main
