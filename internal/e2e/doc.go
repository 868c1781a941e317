// Package e2e is four custodians in four networks: real processes, real TCP, packets that get lost, and cuts between them.
//
// What it does. Each custodian runs in a network namespace of its own. One more, the router's, joins them by cables; nft
// rules there lose packets and cut networks from each other, in one direction or both. tc netem delays packets where the
// kernel has it; elsewhere the cables are pairs of tun devices, and the test carries each packet over, late. Where there is
// neither, nothing is late, and the run's first line says so. The test (build tag e2e, `make e2e`) lets withdrawals be asked
// for while the network is cut, heals it, and expects that each was paid exactly once.
//
// What it promises. Nothing of the machine's own network is touched: the test runs itself again in a new namespace, which is
// the router's, and everything else happens below it. No namespace has a way out. None has a name: they are held by processes and
// descriptors, and are gone with them however the test ends. The private addresses of the custodians exist there only;
// chain, Relay and API stay on 127.0.0.1 of their namespaces, and are passed from one to another by the test.
//
// What you owe it. iproute2 and nft, and a system that lets you make network namespaces: as root, or as a user with a user
// namespace. Where something is missing the test is skipped and says what.
//
// What will hurt you. A namespace belongs to a thread. [Lab.Within] runs its function on a thread that it takes there and
// back; goroutines that the function starts are not on it.
package e2e
