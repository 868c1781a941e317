package payout_test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	mutated = flag.String("mutated", "", "creation code to test instead of the committed one")
	mutants = flag.Bool("mutants", false, "break each rule of the contract once")
)

// mutant breaks one rule of the contract.
type mutant struct{ rule, from, to string }

func allMutants() []mutant {
	return []mutant{
		{"nobody enters again", "if (entered == 2) revert Reentered();", ""},
		{"the lock opens", "        entered = 1;\n", ""},
		{"a batch happens once", "if (done[msg.sender][batchId]) revert AlreadyDone();", ""},
		{"a batch is noted", "done[msg.sender][batchId] = true;", "done[msg.sender][batchId] = false;"},
		{"ids are a payer's own", "done[msg.sender]", "done[address(0)]"},
		{"no empty batch", "recipients == 0 || ", ""},
		{"at most 150 items", "recipients > MAX_ITEMS || ", ""},
		{"151 are too many", "MAX_ITEMS = 150", "MAX_ITEMS = 151"},
		{"lengths are equal", "recipients != amounts", "recipients > amounts"},
		{"only the caller's value", "if (amount > left) revert WrongValue();", ""},
		{"all of the value", "if (left != 0) revert WrongValue();", ""},
		{"nobody is no recipient", "if (to == address(0)) revert ZeroRecipient(i);", ""},
		{"gas for an item of coins", "if (gasleft() < NATIVE_NEED) revert TooLittleGas();", ""},
		{"gas for the call itself", "NATIVE_NEED = NATIVE_GAS + NATIVE_GAS / 63 + CALL_COST", "NATIVE_NEED = NATIVE_GAS"},
		{"gas for an item of a token", "if (gasleft() < TOKEN_NEED) revert TooLittleGas();", ""},
		{"a 64th is kept back", "TOKEN_NEED = TOKEN_GAS + TOKEN_GAS / 63 + CALL_COST", "TOKEN_NEED = TOKEN_GAS"},
		{"an item of coins is bounded", "send(to, amount, NATIVE_GAS)", "send(to, amount, gasleft())"},
		{"an item of a token is bounded", "filled(data, to, amount), TOKEN_GAS)", "filled(data, to, amount), gasleft())"},
		{"a limit", "NATIVE_GAS = 50_000", "NATIVE_GAS = 40_000"},
		{"another limit", "TOKEN_GAS = 85_000", "TOKEN_GAS = 90_000"},
		{"what fails is credited", "owed[token][to] += amount;", "owed[token][to] += amount - amount;"},
		{"credits add up", "owed[token][to] += amount;", "owed[token][to] = amount;"},
		{"failures are told", "emit Failed(batchId, index);", "if (index > 150) emit Failed(batchId, index);"},
		{"what is credited is pulled in", "if (failed != 0) pull(token, filled(data, address(this), failed), failed);", ""},
		{"what is pulled in succeeds", "if (!callToken(token, data, gasleft())) revert NotReceived();", "callToken(token, data, gasleft());"},
		{"what is pulled in arrives", "< held + amount) revert", "< held + amount - amount) revert"},
		{"never more than the sum", "+ total < funds) revert", "+ total + funds < funds) revert"},
		{"only the caller's tokens", "address,address,uint256)\", msg.sender,", "address,address,uint256)\", address(this),"},
		{"a claim is paid once", "owed[token][to] = 0;", ""},
		{"a claim succeeds or stays", "if (!ok) revert", "if (!ok && amount == 0) revert"},
		{"a claim is its recipient's", "? send(to, amount, gasleft())", "? send(msg.sender, amount, gasleft())"},
		{"a claim of a token is its recipient's", "\"transfer(address,uint256)\", to, amount", "\"transfer(address,uint256)\", msg.sender, amount"},
		{"a claim has all the gas", "? send(to, amount, gasleft())", "? send(to, amount, NATIVE_GAS)"},
		{"silence is success", "or(iszero(returndatasize()), and(", "or(0, and("},
		{"a part of a word is no answer", "and(gt(returndatasize(), 31), eq(mload(0), 1))", "eq(mload(0), 1)"},
		{"only true is true", "eq(mload(0), 1)", "mload(0)"},
		{"failure is no success", "ok := and(ok, or(", "ok := or(ok, and("},
	}
}

// TestMutants wants this suite to notice each rule that is missing (`make contract-mutants`, some minutes).
func TestMutants(t *testing.T) {
	if !*mutants {
		t.Skip("takes minutes, and the compiler: `make contract-mutants`")
	}
	source := string(read(t, "BatchPayout.sol"))
	for _, m := range allMutants() {
		t.Run(m.rule, func(t *testing.T) {
			require.Contains(t, source, m.from)
			from, out := t.TempDir(), t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(from, "BatchPayout.sol"), []byte(strings.ReplaceAll(source, m.from, m.to)), 0o600))
			compile(t, out, from)
			suite := exec.Command(os.Args[0], "-test.failfast", "-test.skip", "Bytecode|Binding|Mutants|SameBytes", "-mutated", filepath.Join(out, "BatchPayout.bin"))
			log, err := suite.CombinedOutput()
			require.Error(t, err, "it survived")
			require.Contains(t, string(log), "--- FAIL", "tests failed, not their start: %s", log)
		})
	}
}

// Each mutant still changes the source, compiler or not.
func TestMutantsFit(t *testing.T) {
	source := string(read(t, "BatchPayout.sol"))
	for _, m := range allMutants() {
		require.Contains(t, source, m.from, m.rule)
		require.NotEqual(t, m.from, m.to)
	}
}
