package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"conclave/node"
	"conclave/quorum"

	"github.com/holiman/uint256"
)

// spell writes what the wallet shows as a hash or a count alone: each change of the policy, each debit, each row.
func spell(b *strings.Builder, inForce string, body quorum.ActionBody) {
	var file []byte
	switch body := body.(type) {
	case quorum.PolicyChange:
		file = body.File
	case quorum.Resolve:
		file = body.File
		for _, f := range body.Contents {
			fmt.Fprintf(b, "  withdrawal %d: %s against event %d, message %s, while spent are %v\n", f.Content.WID, f.Verdict(), f.Content.EventID, f.Content.Message, f.Spent)
		}
		for _, a := range body.Accounts {
			for _, d := range a.Debits {
				fmt.Fprintf(b, "  account %s: debit %d of type %d, %s wei\n", a.Account, d.ID, d.Kind, d.Amount)
			}
		}
		for _, r := range body.Log {
			fmt.Fprintf(b, "  row %d of type %d, %q of %s at %d", r.ID, r.Kind, r.Amount, r.Account, r.CreatedAt)
			if r.Network != "" {
				fmt.Fprintf(b, ", %q %s", r.Network, r.TxHash)
			}
			if r.Vesting.ID != 0 {
				fmt.Fprintf(b, ", vesting %d: %q of %s", r.Vesting.ID, r.Vesting.Total, r.Vesting.Account)
			}
			b.WriteByte('\n')
		}
	}
	if file == nil {
		return
	}
	b.WriteString("  the policy in force as this node shows it (-), and the new one (+):\n")
	for _, line := range changes(strings.Split(inForce, "\n"), strings.Split(string(file), "\n")) {
		fmt.Fprintf(b, "    %c %q\n", line[0], line[1:])
	}
}

// maxCompared bounds the lines of a policy that are laid beside each other; of a longer one all lines are shown.
const maxCompared = 1024

// changes are the lines that go, marked -, and those that come, marked +, in order: the fewest that make one text of the
// other.
func changes(was, now []string) (out []string) {
	for len(was) > 0 && len(now) > 0 && was[0] == now[0] {
		was, now = was[1:], now[1:]
	}
	for len(was) > 0 && len(now) > 0 && was[len(was)-1] == now[len(now)-1] {
		was, now = was[:len(was)-1], now[:len(now)-1]
	}
	common := make([][]int, len(was)+1) // the longest common rest from i, j on
	if len(was) > maxCompared || len(now) > maxCompared {
		common = nil
	}
	for i := range common {
		common[i] = make([]int, len(now)+1)
	}
	for i := len(common) - 2; i >= 0; i-- {
		for j := len(now) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); was[i] == now[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	i, j := 0, 0
	for i < len(was) || j < len(now) {
		switch {
		case i < len(was) && j < len(now) && common != nil && was[i] == now[j]:
			i, j = i+1, j+1
		case i < len(was) && (j == len(now) || common == nil || common[i+1][j] >= common[i][j+1]):
			out = append(out, "-"+was[i])
			i++
		default:
			out = append(out, "+"+now[j])
			j++
		}
	}
	return out
}

// showProposal says in words what an action does, read from its bytes, and who signed.
func showProposal(w io.Writer, c node.CommitteeView, v node.ProposalView, a quorum.Action) error {
	t, err := a.Typed(c.Network, 0)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", v.Kind, v.Hash)
	describe(&b, "  ", t)
	body, err := a.Open()
	if err != nil {
		return err
	}
	spell(&b, c.PolicyFile, body)
	if change, ok := body.(quorum.MemberChange); ok {
		now, err := roster(c)
		if err != nil {
			return err
		}
		tellChange(&b, now, change)
	}
	if v.Change != nil && v.Change.Ceremony != nil {
		writeCeremony(&b, "  ", *v.Change.Ceremony, append(slices.Clone(c.Members), v.Change.Joins...))
	}
	fmt.Fprintf(&b, "signed by %s: %d of the %d needed\n", names(v.Signed), len(v.Signed), v.Need)
	if v.Waits != "" {
		fmt.Fprintf(&b, "waits: %s\n", v.Waits)
	}
	return writeTo([]byte(b.String()))(w)
}

func names(list []node.OperatorView) string {
	out := make([]string, len(list))
	for i, o := range list {
		out[i] = o.Name
	}
	return strings.Join(out, ", ")
}

// describe writes the fields that a wallet shows, the time aside.
func describe(b *strings.Builder, indent string, s quorum.TypedStruct) {
	for _, f := range s.Fields {
		switch v := f.Value.(type) {
		case quorum.TypedList:
			for _, item := range v.Items {
				fmt.Fprintf(b, "%s%s\n", indent, strings.ToLower(item.Name))
				describe(b, indent+"  ", item)
			}
		case uint256.Int:
			fmt.Fprintf(b, "%s%s %s\n", indent, f.Name, v.Dec())
		case string:
			fmt.Fprintf(b, "%s%s %q\n", indent, f.Name, v)
		default:
			if f.Name != "signedAt" {
				fmt.Fprintf(b, "%s%s %v\n", indent, f.Name, v)
			}
		}
	}
}
