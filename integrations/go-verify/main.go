// Command go-verify checks an exported breakglass log with foreign code alone: Go's
// golang.org/x/mod/sumdb/note for signatures and .../tlog for the tree. And it verifies tokens, from
// docs/spec/token.md alone, against the vectors of vectors/token.
//
//	go-verify FOLDER
//	go-verify token VECTORS CASE.json...
//
// Of a log it reads the C2SP tlog-tiles layout (checkpoint, tile/...) and the plain C2SP tlog-policy file
// "policy" in FOLDER, and checks every entry, every tile, the log's signature and the quorum of
// cosignatures. Exit 0 if all of it holds, 1 if not, 2 if the folder cannot be read.
package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const width = 256

func main() {
	if len(os.Args) > 3 && os.Args[1] == "token" {
		if err := checkVectors(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, "go-verify:", err)
			os.Exit(1)
		}
		fmt.Println(len(os.Args)-3, "tokens came out as their vectors say")
		return
	}
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go-verify FOLDER, or go-verify token VECTORS CASE.json...")
		os.Exit(2)
	}
	said, err := verify(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "go-verify:", err)
		os.Exit(1)
	}
	fmt.Println(said)
}

func verify(folder string) (string, error) {
	rules, err := readPolicy(filepath.Join(folder, "policy"))
	if err != nil {
		return "", err
	}
	signed, err := os.ReadFile(filepath.Join(folder, "checkpoint"))
	if err != nil {
		return "", err
	}
	// (1) The log's signature, by sumdb/note.
	opened, err := note.Open(signed, note.VerifierList(rules.logs...))
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	// (2) Enough cosignatures, of which sumdb/note knows nothing.
	cosigners, err := rules.cosigners(opened)
	if err != nil {
		return "", err
	}
	// (3) The tree, by sumdb/tlog.
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + afterOrigin(opened.Text)))
	if err != nil {
		return "", fmt.Errorf("checkpoint: %w", err)
	}
	if err := checkTree(folder, tree); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d entries, root %s, cosigned by %s",
		tree.N, tree.Hash, strings.Join(cosigners, " ")), nil
}

// afterOrigin drops the first line: ParseTree wants the sumdb's own name there.
func afterOrigin(text string) string {
	_, rest, _ := strings.Cut(text, "\n")
	return rest
}

func checkTree(folder string, tree tlog.Tree) error {
	var stored []tlog.Hash // every node of the tree, in tlog's order
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, at := range indexes {
			found[i] = stored[at]
		}
		return found, nil
	})
	for n := int64(0); n*width < tree.N; n++ {
		count := min(width, tree.N-n*width)
		leaves, err := readTile(folder, 0, n, count)
		if err != nil {
			return err
		}
		bundle, err := readFile(folder, "entries", n, count)
		if err != nil {
			return err
		}
		for i := int64(0); i < count; i++ {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("entry %d: bundle is cut short", n*width+i)
			}
			size := int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2 : 2+size]
			bundle = bundle[2+size:]
			if tlog.RecordHash(entry) != leaves[i] {
				return fmt.Errorf("entry %d is not the one in its tile", n*width+i)
			}
			hashes, err := tlog.StoredHashes(n*width+i, entry, reader)
			if err != nil {
				return err
			}
			stored = append(stored, hashes...)
		}
		if len(bundle) != 0 {
			return fmt.Errorf("bundle %d is too long", n)
		}
	}
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil {
		return err
	}
	if root != tree.Hash {
		return fmt.Errorf("entries lead to root %s, signed is %s", root, tree.Hash)
	}
	// Tiles above the leaves hold the tree's own nodes.
	for level := 1; tree.N>>(8*level) > 0; level++ {
		row := tree.N >> (8 * level)
		for n := int64(0); n*width < row; n++ {
			hashes, err := readTile(folder, level, n, min(width, row-n*width))
			if err != nil {
				return err
			}
			for i, hash := range hashes {
				if hash != stored[tlog.StoredHashIndex(8*level, n*width+int64(i))] {
					return fmt.Errorf("hash %d at level %d is another", n*width+int64(i), level)
				}
			}
		}
	}
	return nil
}

func readTile(folder string, level int, n, count int64) ([]tlog.Hash, error) {
	data, err := readFile(folder, strconv.Itoa(level), n, count)
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != count*tlog.HashSize {
		return nil, fmt.Errorf("tile %d at level %d has %d bytes", n, level, len(data))
	}
	hashes := make([]tlog.Hash, count)
	for i := range hashes {
		copy(hashes[i][:], data[i*tlog.HashSize:])
	}
	return hashes, nil
}

// readFile reads by the C2SP name, which differs from sumdb's own.
func readFile(folder, level string, n, count int64) ([]byte, error) {
	name := fmt.Sprintf("%03d", n%1000)
	for rest := n / 1000; rest > 0; rest /= 1000 {
		name = fmt.Sprintf("x%03d/%s", rest%1000, name)
	}
	if count < width {
		name += fmt.Sprintf(".p/%d", count)
	}
	return os.ReadFile(filepath.Join(folder, "tile", level, filepath.FromSlash(name)))
}

type policy struct {
	logs      []note.Verifier
	witnesses map[string]witness
	groups    []group
	quorum    string
}

type witness struct {
	name string // its key's
	hash uint32
	key  ed25519.PublicKey
}

type group struct {
	name    string
	needed  int
	members []string
}

func readPolicy(path string) (*policy, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rules := &policy{witnesses: map[string]witness{}}
	for number, line := range strings.Split(string(data), "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := rules.take(words); err != nil {
			return nil, fmt.Errorf("policy line %d: %w", number+1, err)
		}
	}
	return rules, nil
}

func (p *policy) take(words []string) error {
	switch {
	case words[0] == "log" && len(words) >= 2:
		verifier, err := note.NewVerifier(words[1])
		if err != nil {
			return err
		}
		p.logs = append(p.logs, verifier)
	case words[0] == "witness" && len(words) >= 3:
		name, hash, blob, err := splitKey(words[2])
		if err != nil {
			return err
		}
		if len(blob) != 33 || blob[0] != 4 {
			return fmt.Errorf("witness %s: no Ed25519 cosigner's key", words[1])
		}
		p.witnesses[words[1]] = witness{name, hash, ed25519.PublicKey(blob[1:])}
	case words[0] == "group" && len(words) >= 4:
		members := words[3:]
		needed := map[string]int{"all": len(members), "any": 1}[words[2]]
		if needed == 0 {
			var err error
			if needed, err = strconv.Atoi(words[2]); err != nil {
				return err
			}
		}
		p.groups = append(p.groups, group{words[1], needed, members})
	case words[0] == "quorum" && len(words) == 2:
		p.quorum = words[1]
	default:
		return fmt.Errorf("unknown %q", words[0])
	}
	return nil
}

func splitKey(text string) (string, uint32, []byte, error) {
	name, rest, _ := strings.Cut(text, "+")
	id, blob, ok := strings.Cut(rest, "+")
	hash, err := strconv.ParseUint(id, 16, 32)
	if !ok || err != nil {
		return "", 0, nil, fmt.Errorf("%q is no key", text)
	}
	data, err := base64.StdEncoding.DecodeString(blob)
	return name, uint32(hash), data, err
}

// cosigners returns who cosigned, and fails if they are no quorum or one of theirs does not hold.
func (p *policy) cosigners(opened *note.Note) ([]string, error) {
	met := map[string]bool{}
	var names []string
	for name, each := range p.witnesses {
		for _, signature := range opened.UnverifiedSigs {
			if signature.Name != each.name || signature.Hash != each.hash {
				continue
			}
			data, err := base64.StdEncoding.DecodeString(signature.Base64)
			if err != nil || len(data) != 4+8+ed25519.SignatureSize {
				return nil, fmt.Errorf("cosignature of %s has %d bytes", name, len(data))
			}
			var message bytes.Buffer
			seconds := binary.BigEndian.Uint64(data[4:])
			fmt.Fprintf(&message, "cosignature/v1\ntime %d\n%s", seconds, opened.Text)
			if !ed25519.Verify(each.key, message.Bytes(), data[12:]) {
				return nil, fmt.Errorf("cosignature of %s does not hold", name)
			}
			met[name] = true
			names = append(names, name)
		}
	}
	for _, each := range p.groups {
		count := 0
		for _, member := range each.members {
			if met[member] {
				count++
			}
		}
		met[each.name] = count >= each.needed
	}
	if p.quorum != "none" && !met[p.quorum] {
		return nil, fmt.Errorf("quorum %s is not met by %v", p.quorum, names)
	}
	return names, nil
}
