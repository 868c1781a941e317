package agreement

import (
	"fmt"
	"strings"

	"conclave/quorum"
)

// render writes effects down to the byte.
func render(fx Effects) string {
	var b strings.Builder
	if c := fx.Commit; c.Save != nil {
		fmt.Fprintf(&b, "save %x\n", c.Save.Encode())
	}
	if p := fx.Commit.Proposal; p != nil {
		fmt.Fprintf(&b, "propose %+v\n", *p)
	}
	qc := func(q quorum.QC) string { return fmt.Sprintf("%+v by %v", q.Unchecked(), q.Signers()) }
	fmt.Fprintf(&b, "votes %+v\n", fx.Commit.Votes)
	if d := fx.Commit.Decide; d != nil {
		fmt.Fprintf(&b, "decide %x %s\n", d.ID, qc(d.QC))
	}
	for _, s := range fx.Send {
		fmt.Fprintf(&b, "send %x %x %s beside %s", s.To, s.Proposal.Bytes(), qc(s.Pol), qc(s.Beside))
		for _, v := range s.Votes {
			fmt.Fprintf(&b, " %x", v.Bytes())
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "fetch %x\n", fx.Fetch)
	if fx.Build != nil {
		fmt.Fprintf(&b, "build %d\n", fx.Build.Round)
	}
	fmt.Fprintf(&b, "evidence %x foreign %x contradiction %s wake %d\n", fx.Evidence, fx.Foreign, qc(fx.Contradiction), fx.Wake.UnixNano())
	return b.String()
}
