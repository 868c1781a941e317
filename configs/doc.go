// Package configs holds example files: a node's configuration, a policy, lanes, and a member record and genesis document
// that the commands made of them with throw-away keys.
//
// It promises that every file here is loaded by its real loader in a test, and that the documented first commands make a
// valid network of them. genesis.example.json and member.example.json are examples of form: their keys were thrown away.
//
// You owe it a line in the test when a file is added.
//
// What will hurt you: amounts, addresses and the tariff are examples. The policy's bytes are signed by all operators; read
// each line before it is yours.
package configs
