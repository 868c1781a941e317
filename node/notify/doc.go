// Package notify carries the node's alerts to a webhook.
//
// It promises one try per call, bounded in time; of an answer only the status counts, and nothing of its body is read; no redirect is followed; with a secret the body is
// signed, so that whoever receives it knows that it comes from this node and is whole. Errors say what went wrong and never
// where to: the URL of a webhook is often the key to it.
//
// What you owe: try again. A failed call may have arrived all the same; the message's id tells the receiver.
//
// What will hurt you: a message may come twice and out of order. The signature is over the body alone; it does not say when
// the message was sent, the field time in the body does.
package notify
