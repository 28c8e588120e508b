package signing

import (
	"bytes"
	"crypto/ecdh"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// personKey is an SSH key or a passkey; point is what makes two of them one. A passkey has a host.
type personKey struct {
	kind, application string
	point, blob       []byte
	host              string
	port              int
}

const (
	edwardsType   = "ssh-ed25519"
	skEdwardsType = "sk-ssh-ed25519@openssh.com"
	p256Type      = "ecdsa-sha2-nistp256"
	skP256Type    = "sk-ecdsa-sha2-nistp256@openssh.com"
)

var (
	application  = regexp.MustCompile(`^ssh:[!-~]{0,100}$`)
	label        = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	digits       = regexp.MustCompile(`^[0-9]+$`)
	port         = regexp.MustCompile(`^[1-9][0-9]{0,4}$`)
	beforeP256   = mustHex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
	edwardsField = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	smallOrder   = []string{ // y, little endian: RFC 7748 section 6
		strings.Repeat("00", 32),
		"01" + strings.Repeat("00", 31),
		"ec" + strings.Repeat("ff", 30) + "7f",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	}
)

func (k personKey) hardware() bool { return k.kind == skEdwardsType || k.kind == skP256Type }
func (k personKey) elliptic() bool { return k.kind == p256Type || k.kind == skP256Type }

func (k personKey) authority() string {
	if k.port == 443 {
		return k.host
	}
	return k.host + ":" + strconv.Itoa(k.port)
}

func readKeys(lines []string) ([]personKey, error) {
	var found []personKey
	for _, line := range lines {
		key, err := parseKey(line)
		if err != nil {
			return nil, err
		}
		found = append(found, key)
	}
	return found, nil
}

// parseKey reads one line of text.
func parseKey(line string) (personKey, error) {
	if strings.HasPrefix(line, "passkey ") {
		return parsePasskey(line)
	}
	words := strings.Fields(line)
	if len(words) < 2 {
		return personKey{}, malformed("bad_ssh_key", "a type and its base64")
	}
	blob, err := ExactBase64(words[1], "bad_ssh_key")
	if err != nil {
		return personKey{}, err
	}
	key, err := parseBlob(blob)
	if err == nil && key.kind != words[0] {
		err = malformed("bad_ssh_key", "says %q, holds %q", words[0], key.kind)
	}
	return key, err
}

// parseBlob reads an SSH key as it stands on the wire.
func parseBlob(blob []byte) (personKey, error) {
	const name = "bad_ssh_key"
	fields := reader{rest: blob}
	key := personKey{kind: string(fields.string()), blob: blob}
	switch key.kind {
	case edwardsType, skEdwardsType:
	case p256Type, skP256Type:
		if string(fields.string()) != "nistp256" {
			return key, malformed(name, "another curve")
		}
	default:
		return key, malformed(name, "type %q", key.kind)
	}
	key.point = fields.string()
	if key.hardware() {
		key.application = string(fields.string())
	}
	if !fields.done() {
		return key, malformed(name, "bytes missing or left over")
	}
	if key.elliptic() {
		if !isP256Point(key.point) {
			return key, malformed(name, "no uncompressed point of P-256")
		}
	} else if !isEdwardsKey(key.point) {
		return key, malformed(name, "no Ed25519 key, or one that signs for anybody")
	}
	// Go's $ takes no line feed before the end, unlike that of other languages.
	if key.hardware() && !application.MatchString(key.application) {
		return key, malformed(name, "application %q", key.application)
	}
	return key, nil
}

func parsePasskey(line string) (personKey, error) {
	const name = "bad_passkey"
	words := strings.Split(line, " ")
	if len(words) != 3 {
		return personKey{}, malformed(name, "passkey HOST[:PORT] KEY")
	}
	host, number, colon := strings.Cut(words[1], ":")
	key := personKey{kind: "passkey", host: host, port: 443}
	labels := strings.Split(host, ".")
	for _, each := range labels {
		if !label.MatchString(each) {
			return key, malformed(name, "host %q", host)
		}
	}
	if len(host) > 253 || digits.MatchString(labels[len(labels)-1]) {
		return key, malformed(name, "host %q", host)
	}
	if colon {
		key.port, _ = strconv.Atoi(number)
		if !port.MatchString(number) || key.port > 65535 || key.port == 443 {
			return key, malformed(name, "port %q", number)
		}
	}
	der, err := ExactBase64(words[2], name)
	if err != nil {
		return key, err
	}
	point, found := bytes.CutPrefix(der, beforeP256)
	if !found || !isP256Point(point) {
		return key, malformed(name, "no SubjectPublicKeyInfo on P-256")
	}
	key.point = point
	return key, nil
}

func isP256Point(point []byte) bool {
	if len(point) != 65 || point[0] != 4 {
		return false
	}
	_, err := ecdh.P256().NewPublicKey(point) // on the curve
	return err == nil
}

func isEdwardsKey(point []byte) bool {
	if len(point) != 32 {
		return false
	}
	y := bytes.Clone(point)
	y[31] &= 0x7f
	for _, each := range smallOrder {
		if hex.EncodeToString(y) == each {
			return false
		}
	}
	for i := range 16 { // big.Int is big endian
		y[i], y[31-i] = y[31-i], y[i]
	}
	return new(big.Int).SetBytes(y).Cmp(edwardsField) < 0
}

// Points refuses a directory in which one key stands twice, by (C-9), and returns each line's point.
func Points(people map[string][]string) (map[string]string, error) {
	found, owners := map[string]string{}, map[string]string{}
	names := make([]string, 0, len(people))
	for name := range people {
		names = append(names, name)
	}
	slices.Sort(names) // of two failures, always the same one
	for _, name := range names {
		for _, line := range people[name] {
			key, err := parseKey(line)
			if err != nil {
				return nil, err
			}
			point := hex.EncodeToString(key.point)
			if owner, twice := owners[point]; twice {
				return nil, malformed("shared_key", "one key for %q and %q", owner, name)
			}
			owners[point], found[line] = name, point
		}
	}
	return found, nil
}

// ExactBase64 reads padded base64 in its one spelling.
func ExactBase64(text, name string) ([]byte, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	// The decoder passes over line ends.
	if err != nil || base64.StdEncoding.EncodeToString(data) != text {
		return nil, malformed(name, "base64")
	}
	return data, nil
}

func mustHex(text string) []byte {
	data, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return data
}
