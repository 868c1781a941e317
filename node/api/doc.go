// Package api is what a custodian answers: JSON-RPC for programs, health and readiness for supervisors, metrics for
// scrapers, and one plain page for people.
//
// It serves two doors. The HTTP listener answers questions only. The unix socket in the home answers the same questions and,
// because only the operator's user can open it, also takes the operator's orders: admin_halt and admin_resume.
//
// It promises that every error carries a code of the closed table in docs/errors.md; that requests, connections, batches and
// the time of each are bounded; that a web page of another origin gets nothing (no CORS, JSON only, and a Host header that
// is not this machine's is refused, which is what DNS rebinding needs); that foreign text is escaped wherever it is shown;
// and that docs/api.md, docs/errors.md and rpc.discover say the same as the code, because all three are made from it.
//
// You owe it a [Backend] that runs before [Server.Run] is called, and a home that only its owner can enter.
//
// What will hurt you: the HTTP door asks no password. Whoever reaches the listener reads balances, withdrawals and the
// committee's addresses. It listens on loopback unless configured otherwise.
package api
