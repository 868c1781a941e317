package tss

import "sync"

// worker runs the library's calls of one session, one after the other, away from the loop that reads messages and keeps the
// deadline. The session asks for one step at a time, so neither channel ever blocks.
//
// A library call cannot be interrupted. A session that ends leaves the one under way behind: its result is thrown away, and
// the next session of the same key computes when it has returned. So one key never has two calls at work, however often its
// sessions end.
type worker struct {
	jobs    chan func() step
	results chan step
	quit    chan struct{}
	busy    bool // owned by the session's loop
}

// turn is held by whoever computes with a key.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func startWorker(t turn, all *sync.WaitGroup) *worker {
	w := &worker{jobs: make(chan func() step, 1), results: make(chan step, 1), quit: make(chan struct{})}
	all.Go(func() { w.work(t) })
	return w
}

func (w *worker) work(t turn) {
	for {
		select {
		case <-w.quit:
			return
		case job := <-w.jobs:
			select {
			case <-w.quit:
				return
			case t <- struct{}{}:
			}
			if w.stopped() {
				<-t
				return
			}
			result := job()
			<-t
			w.results <- result
		}
	}
}

// run starts a step; its result comes over results.
func (w *worker) run(job func() step) {
	w.busy = true
	w.jobs <- job
}

// stop ends the worker after the step under way, and does not wait for it.
func (w *worker) stop() { close(w.quit) }

func (w *worker) stopped() bool {
	select {
	case <-w.quit:
		return true
	default:
		return false
	}
}
