package vault

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"

	"conclave/internal/golden"
	"conclave/tss/tsstest"
)

// forgetTries lets a test go on after wrong passwords.
func forgetTries(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, disk{dir: dir}.count(attempts{}))
}

func slotOf(t *testing.T, h header) passwordSlot {
	t.Helper()
	var s passwordSlot
	require.NoError(t, rlp.DecodeBytes(h.Slots[0].Body, &s))
	return s
}

// forge changes a header as someone would who can write the file and compute checksums, but has no key.
func forge(t *testing.T, dir string, change func(*header)) {
	t.Helper()
	path := filepath.Join(dir, headerFile)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	var h header
	require.NoError(t, rlp.DecodeBytes(b, &h))
	change(&h)
	require.NoError(t, os.WriteFile(path, encodeHeader(h), 0o600))
}

// These bytes lie on operators' disks: they are written the same, and read, by every version to come.
func TestGoldenFiles(t *testing.T) {
	dir, v := newVault(t, testEnv())
	require.NoError(t, v.PutPreParams(testSet(t, 0)))
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	names := files(t, dir)
	require.Len(t, names, 3)
	golden.Text(t, "testdata/names.txt", strings.Join(names, "\n")+"\n")

	old := emptyDir(t)
	for i, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		path := "testdata/scheme2/" + []string{"preparams", "share", "header"}[i] + ".hex"
		golden.Hex(t, path, b)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		b, err = hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(old, name), b, 0o600))
	}
	opened := reopen(t, old)
	share, err := opened.Share(testShare(t, 0).PublicKey())
	require.NoError(t, err)
	require.Equal(t, bytesOf(t, testShare(t, 0)), bytesOf(t, share))
	set, err := opened.PreParams()
	require.NoError(t, err)
	require.Equal(t, testSet(t, 0).Fingerprint(), set.Fingerprint())
}

// Every byte of every file matters, and so does its length.
func TestEveryByteCounts(t *testing.T) {
	dir, v := newVault(t, testEnv())
	require.NoError(t, v.PutPreParams(testSet(t, 0)))
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	tried := 0
	for name, good := range read(t, dir) {
		path := filepath.Join(dir, name)
		check := func(b []byte, what string, i int) {
			tried++
			require.NoError(t, os.WriteFile(path, b, 0o600))
			err := v.s.scan() // the password was right before: only the header is read without it
			if name == headerFile {
				_, err = testEnv().open(dir, node(), []byte(testPassword))
			}
			if !isDamage(err) {
				t.Fatalf("%s, %s %d: %v", name, what, i, err)
			}
		}
		for i := range good {
			b := slices.Clone(good)
			b[i] ^= 1 << (i % 8)
			check(b, "flipped byte", i)
			check(good[:i], "cut to", i)
		}
		check(append(slices.Clone(good), 0), "appended", len(good))
		require.NoError(t, os.WriteFile(path, good, 0o600))
	}
	require.Greater(t, tried, 10_000)
	reopen(t, dir)
}

// What a checksum cannot find, because it was computed anew, a key does.
func TestForgedHeaders(t *testing.T) {
	dir, v := newVault(t, testEnv())
	good, err := os.ReadFile(filepath.Join(dir, headerFile))
	require.NoError(t, err)
	inSlot := func(change func(*passwordSlot)) func(*header) {
		return func(h *header) {
			s := slotOf(t, *h)
			change(&s)
			h.Slots[0].Body = encode(s)
		}
	}
	foreign, err := wrap(testEnv().random, identity{}, make([]byte, rootSize), []byte("another"), cheap)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*header)
		want   error
	}{
		"salt":              {inSlot(func(s *passwordSlot) { s.Salt[0] ^= 1 }), ErrPassword},
		"commitment":        {inSlot(func(s *passwordSlot) { s.Commit[0] ^= 1 }), ErrPassword},
		"nonce":             {inSlot(func(s *passwordSlot) { s.Nonce[0] ^= 1 }), ErrDamaged},
		"wrapped key":       {inSlot(func(s *passwordSlot) { s.Wrapped[0] ^= 1 }), ErrDamaged},
		"dearer":            {inSlot(func(s *passwordSlot) { s.Params.Time++ }), ErrPassword},
		"vault id":          {func(h *header) { h.Identity.ID[0] ^= 1 }, ErrPassword},
		"node":              {func(h *header) { h.Identity.Node = tsstest.MemberAddress(1) }, ErrOtherNode},
		"tag":               {func(h *header) { h.Tag[0] ^= 1 }, ErrDamaged},
		"a slot more":       {func(h *header) { h.Slots = append(h.Slots, foreign) }, ErrDamaged},
		"a slot before":     {func(h *header) { h.Slots = append([]slot{foreign}, h.Slots...) }, ErrDamaged},
		"no slot":           {func(h *header) { h.Slots = nil }, ErrDamaged},
		"many slots":        {func(h *header) { h.Slots = slices.Repeat(h.Slots, maxSlots+1) }, ErrDamaged},
		"a slot's type":     {func(h *header) { h.Slots[0].Type = 2 }, ErrScheme},
		"a slot's form":     {func(h *header) { h.Slots[0].Body = []byte{1} }, ErrDamaged},
		"a slot of a key":   {func(h *header) { h.Slots[0] = foreign }, ErrPassword},
		"an unknown scheme": {func(h *header) { h.Scheme = 3 }, ErrScheme},
		"an earlier scheme": {func(h *header) { h.Scheme = schemeOne }, ErrDamaged},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, headerFile), good, 0o600))
		forgetTries(t, dir)
		forge(t, dir, c.change)
		_, err := testEnv().open(dir, node(), []byte(testPassword))
		require.ErrorIs(t, err, c.want, name)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, headerFile), make([]byte, maxHeader+1), 0o600))
	_, err = testEnv().open(dir, node(), []byte(testPassword))
	require.ErrorIs(t, err, ErrDamaged)
	v.Close()
}

// A record that is whole but not in its place is damage too.
func TestMisplacedRecords(t *testing.T) {
	dir, v := newVault(t, testEnv())
	require.NoError(t, v.PutPreParams(testSet(t, 0)))
	require.NoError(t, v.SaveShare(testShare(t, 0)))
	files := read(t, dir)

	// Another vault of the same node, which has the same key, in the same epoch.
	e := testEnv()
	_, err := e.random.Read(make([]byte, 8))
	require.NoError(t, err)
	otherDir, other := newVault(t, e)
	require.NotEqual(t, v.s.sealer.id, other.s.sealer.id)
	require.NoError(t, other.SaveShare(testShare(t, 0)))

	share, err := idOfShare(testShare(t, 0).PublicKey(), 1, testShare(t, 0).Transcript().Session).file()
	require.NoError(t, err)
	set, err := idOfPreParams(testSet(t, 0).Fingerprint()).file()
	require.NoError(t, err)
	renamed, err := idOfShare(testShare(t, 0).PublicKey(), 2, testShare(t, 0).Transcript().Session).file()
	require.NoError(t, err)
	r, err := decodeRecord(files[share])
	require.NoError(t, err)
	relabelled := r
	relabelled.ID.Epoch = 2
	newer := r
	newer.Scheme = 3
	older := r
	older.Scheme = schemeOne
	odd := r
	odd.ID = recordID{Kind: 9, ID: []byte{1}}

	for name, c := range map[string]struct {
		file string
		b    []byte
		want error
	}{
		"another vault's":        {share, read(t, otherDir)[share], ErrDamaged},
		"under another name":     {renamed, files[share], ErrDamaged},
		"of another kind":        {share, files[set], ErrDamaged},
		"relabelled and renamed": {renamed, encode(relabelled), ErrDamaged},
		"an unknown scheme":      {share, encode(newer), ErrScheme},
		"an earlier scheme":      {share, encode(older), ErrDamaged},
		"an unknown kind":        {share, encode(odd), ErrScheme},
		"endless":                {share, make([]byte, maxRecord+1), ErrDamaged},
		"a stranger's file":      {"share" + sealedSuffix, []byte("share"), ErrDamaged},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, c.file), c.b, 0o600))
		_, err := testEnv().open(dir, node(), []byte(testPassword))
		require.ErrorIs(t, err, c.want, name)
		require.NoError(t, os.Remove(filepath.Join(dir, c.file)))
		require.NoError(t, os.WriteFile(filepath.Join(dir, share), files[share], 0o600))
	}
	reopened := reopen(t, dir)
	require.NoError(t, os.Remove(filepath.Join(dir, share)))
	_, err = reopened.Share(testShare(t, 0).PublicKey())
	require.ErrorIs(t, err, ErrDamaged, "a file that was there when the vault was opened")
}

// What decodes is encoded in one way only, and nothing else makes a decoder stumble.
func FuzzHeader(f *testing.F) {
	h := header{Scheme: scheme, Slots: []slot{{slotPassword, encode(passwordSlot{Params: cheap})}}}
	f.Add(encodeHeader(h))
	f.Add(encodeHeader(header{Scheme: schemeOne, Slots: []slot{{slotPassword, encode(passwordSlotOne{Params: cheap})}}}))
	f.Add([]byte{})
	f.Add([]byte{0xc1, 0x02})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHeader(b)
		if err != nil {
			require.True(t, isDamage(err), "%v", err)
			return
		}
		require.Equal(t, b, encodeHeader(h))
	})
}

func FuzzRecord(f *testing.F) {
	f.Add(encode(record{Scheme: scheme, ID: recordID{Kind: kindPreParams, ID: make([]byte, preParamsID)}, Sealed: make([]byte, 16)}))
	f.Add(encode(record{Scheme: scheme, ID: recordID{kindShare, make([]byte, shareID), 1}, Sealed: make([]byte, 32)}))
	f.Add([]byte{0xc2, 0x01, 0xc0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			require.True(t, isDamage(err), "%v", err)
			return
		}
		require.Equal(t, b, encode(r))
	})
}
