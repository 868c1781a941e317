package scenario

import (
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"conclave/internal/simnet"
)

// Bounds of what one line may write.
const (
	maxRows      = 5000
	taskIncome   = 0 // the Relay's number
	hoursOfAWeek = 7 * 24
)

// watched is what the watches look at.
func watched() []command {
	return []command{
		{"user NAME earns AMOUNT in COUNT rows", false, func(p *player, a args) error {
			wei, n, err := amounts(a)
			for range n {
				p.last = p.w.Relay.CreditTask(p.w.User(a["NAME"]).Address, wei)
			}
			return err
		}},
		{"COUNT strangers earn AMOUNT each", false, func(p *player, a args) error {
			wei, n, err := amounts(a)
			first := int(p.last) // so that each line has strangers of its own
			for i := range n {
				p.last = p.w.Relay.CreditTask(stranger(first+i), wei)
			}
			return err
		}},
		// The hours end with the present one; a row stands in the middle of each that is over.
		{"relay's log holds WEEKS weeks of AMOUNT an hour and HOURS hours of OTHER", false, (*player).yore},
		{"relay's clock runs DURATION ahead", false, func(p *player, a args) error {
			d, err := a.duration("DURATION")
			p.w.Relay.ShiftClock(d)
			return err
		}},
		{"relay's clock is right", false, func(p *player, _ args) error { p.w.Relay.ShiftClock(0); return nil }},
		{"relay publishes fees of COUNT coins more", false, func(p *player, a args) error {
			n, err := a.number("COUNT")
			p.w.Relay.PublishMoreFee(uint64(max(0, n)))
			return err
		}},
		{"authority settles", false, func(p *player, _ args) error { return p.w.Settle(new(big.Int)) }},
		{"authority settles for AMOUNT less", false, func(p *player, a args) error {
			wei, err := coins(a["AMOUNT"])
			if err != nil {
				return err
			}
			return p.w.Settle(wei)
		}},
		{"expect recovered CODE on WHO…", false, func(p *player, a args) error {
			return p.w.Until(recoveredWithin, func() error {
				return p.each(a, func(c *simnet.Custodian) error {
					for _, al := range c.Node.Alerts() {
						if al.Code == a["CODE"] && al.Over {
							return nil
						}
					}
					return fmt.Errorf("no alert %s is over", a["CODE"])
				})
			})
		}},
	}
}

// recoveredWithin is how long it may take until the cause of an alert is looked at again.
const recoveredWithin = 2 * time.Minute

func amounts(a args) (*big.Int, int, error) {
	wei, err := coins(a["AMOUNT"])
	if err != nil {
		return nil, 0, err
	}
	n, err := a.number("COUNT")
	if err == nil && (n < 1 || n > maxRows) {
		err = fmt.Errorf("%d rows: want 1 to %d", n, maxRows)
	}
	if err != nil {
		n = 0
	}
	return wei, n, err
}

// stranger is an account that nobody has a key of.
func stranger(i int) common.Address {
	return common.BytesToAddress(crypto.Keccak256([]byte(fmt.Sprintf("conclave scenario stranger %d", i)))[12:])
}

func (p *player) yore(a args) error {
	weeks, err := a.number("WEEKS")
	if err != nil {
		return err
	}
	hours, err := a.number("HOURS")
	if err != nil {
		return err
	}
	usual, err := coins(a["AMOUNT"])
	if err != nil {
		return err
	}
	other, err := coins(a["OTHER"])
	if err != nil {
		return err
	}
	if weeks*hoursOfAWeek+hours > maxRows {
		return fmt.Errorf("%d weeks are more than %d rows", weeks, maxRows)
	}
	at := time.Now().Truncate(time.Hour).Add(-time.Duration(weeks*hoursOfAWeek+hours) * time.Hour).Add(30 * time.Minute)
	for i := range weeks*hoursOfAWeek + hours {
		wei := usual
		if i >= weeks*hoursOfAWeek {
			wei = other
		}
		p.last = p.w.Relay.EmitAt(taskIncome, stranger(0), wei, at)
		at = at.Add(time.Hour)
	}
	return nil
}
