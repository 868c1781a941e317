package liar

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"go.uber.org/zap"

	"conclave/node"
	"conclave/node/config"
	"conclave/node/daemon"
	"conclave/quorum"
	"conclave/tss"
)

// Run runs the custodian of a home as `conclave run` does, except that it lies. It returns nil after ctx ended.
func Run(ctx context.Context, home, passwordFile, fingerprint string, log io.Writer) error {
	cfg, err := config.Load(home)
	if err != nil {
		return err
	}
	key, err := config.ReadKey(cfg.NodeKeyPath())
	if err != nil {
		return err
	}
	d, err := daemon.Open(ctx, daemon.Options{
		Home:     home,
		Password: func(config.Config) ([]byte, error) { return config.ReadPassword(passwordFile) },
		Log:      func(level config.LogLevel) *zap.Logger { return daemon.NewLogger(log, level, false) },
		Note:     func(string) {},

		Fingerprint: fingerprint,
		Signer: func(to tss.Transport) (node.Signer, error) {
			file, err := os.ReadFile(cfg.GenesisPath())
			if err != nil {
				return nil, err
			}
			genesis, err := quorum.ParseGenesis(file)
			if err != nil {
				return nil, err
			}
			l := &link{to: to, key: key, network: genesis.ID()}
			engine, err := tss.New(tss.Config{Key: key, Network: l.network, Transport: l, Development: daemon.Development(genesis)})
			if err != nil {
				return nil, err
			}
			return &signer{Engine: engine, link: l, say: func(text string) { _, _ = fmt.Fprintln(log, text) }}, nil
		},
	})
	if err != nil {
		return err
	}
	return d.Run(ctx)
}

// signer is the custodian's own engine behind a link that lies.
type signer struct {
	*tss.Engine
	link *link
	say  func(string)

	mu       sync.Mutex // guards sessions
	sessions int        // that it lied in
}

// Sign lies, unless what is signed is the trial of a new key: a network that never begins shows nothing.
func (s *signer) Sign(ctx context.Context, w tss.Warrant, share *tss.KeyShare, roundTimeout time.Duration) tss.Outcome {
	s.link.begin(w.Session(), w.Set(), s.next(w, share))
	return s.Engine.Sign(ctx, w, share, roundTimeout)
}

// next is the lie for a session.
func (s *signer) next(w tss.Warrant, share *tss.KeyShare) Lie {
	if canary(s.link.network, w, share) {
		return Honest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lie := lieOf(s.sessions)
	s.sessions++
	s.say(fmt.Sprintf("lying in session %s: %s", w.Session(), lie))
	return lie
}

// canary reports whether a warrant is for a key's trial.
func canary(network common.Hash, w tss.Warrant, share *tss.KeyShare) bool {
	return share != nil && w.Digest() == share.Transcript().CanaryDigest(network, w.Set())
}
