package tss

// worker runs the library's calls of one session, one after the other, away from the loop that reads messages and keeps the
// deadline. The session asks for one step at a time, so neither channel ever blocks.
type worker struct {
	jobs    chan func() step
	results chan step
	ended   chan struct{}
	busy    bool // owned by the session's loop
}

func startWorker() *worker {
	w := &worker{jobs: make(chan func() step, 1), results: make(chan step, 1), ended: make(chan struct{})}
	go func() {
		defer close(w.ended)
		for job := range w.jobs {
			w.results <- job()
		}
	}()
	return w
}

// run starts a step; its result comes over results.
func (w *worker) run(job func() step) {
	w.busy = true
	w.jobs <- job
}

// stop returns when the step under way has ended: a library call cannot be interrupted.
func (w *worker) stop() {
	close(w.jobs)
	<-w.ended
}
