package main

// Keys and signatures of people: SSHSIG, security keys, passkeys. Source: docs/spec/statement.md.

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"regexp"
	"strings"
)

const (
	statementNamespace    = "breakglass-statement@v1"
	cardNamespace         = "breakglass-card@v1"
	trustNamespace        = "breakglass-trust@v1"
	presentationNamespace = "breakglass-token@v1"
)

var firstLines = map[string]string{
	statementNamespace:    "breakglass.dev/statement/v1\n",
	cardNamespace:         "breakglass.dev/card/v1\n",
	trustNamespace:        "breakglass.dev/trust/v1\n",
	presentationNamespace: "breakglass.dev/presentation/v1\n",
}

var factors = []string{"one", "two", "phishing_resistant"}

// sshKey is a public key as it stands on the wire.
type sshKey struct {
	kind        string
	point       []byte
	application []byte
	blob        []byte
}

type reader struct {
	data []byte
	name string
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.data) {
		panic(failure{"malformed", r.name})
	}
	piece := r.data[:n]
	r.data = r.data[n:]
	return piece
}

func (r *reader) number() int    { return int(binary.BigEndian.Uint32(r.take(4))) }
func (r *reader) string() []byte { return r.take(r.number()) }
func (r *reader) end() {
	if len(r.data) != 0 {
		panic(failure{"malformed", r.name})
	}
}

var (
	field       = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	smallOrder  = smallPoints()
	application = regexp.MustCompile(`^ssh:[!-~]{0,100}$`)
)

func smallPoints() map[string]bool {
	found := map[string]bool{}
	for _, each := range []string{
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		point, _ := hex.DecodeString(each)
		found[littleEndian(point).String()] = true
	}
	for _, y := range []*big.Int{big.NewInt(0), big.NewInt(1), new(big.Int).Sub(field, big.NewInt(1))} {
		found[y.String()] = true
	}
	return found
}

func littleEndian(point []byte) *big.Int {
	turned := make([]byte, 32)
	for i, each := range point {
		turned[31-i] = each
	}
	turned[0] &= 0x7f
	return new(big.Int).SetBytes(turned)
}

func keyOfBlob(blob []byte) sshKey {
	r := &reader{blob, "bad_ssh_key"}
	key := sshKey{kind: string(r.string()), blob: blob}
	if key.kind != "ssh-ed25519" && key.kind != "sk-ssh-ed25519@openssh.com" {
		panic(failure{"malformed", "bad_ssh_key"})
	}
	key.point = r.string()
	if key.hardware() {
		key.application = r.string()
	}
	r.end()
	if len(key.point) != 32 {
		panic(failure{"malformed", "bad_ssh_key"})
	}
	y := littleEndian(key.point)
	if y.Cmp(field) >= 0 || smallOrder[y.String()] {
		panic(failure{"malformed", "bad_ssh_key"}) // anybody signs under it
	}
	if key.hardware() && !application.Match(key.application) {
		panic(failure{"malformed", "bad_ssh_key"})
	}
	return key
}

func (k sshKey) hardware() bool { return strings.HasPrefix(k.kind, "sk-") }

func keyOfText(text string) sshKey {
	words := strings.Split(text, " ")
	if len(words) < 2 {
		panic(failure{"malformed", "bad_ssh_key"})
	}
	key := keyOfBlob(exact(words[1], "bad_ssh_key"))
	if key.kind != words[0] {
		panic(failure{"malformed", "bad_ssh_key"})
	}
	return key
}

// identity is what makes two spellings of a key one key.
func identity(text string) string {
	if strings.HasPrefix(text, "passkey ") {
		_, public := passkey(text)
		return string(public)
	}
	return string(keyOfText(text).point)
}

func passkey(text string) (domain string, public []byte) {
	words := strings.Split(text, " ")
	return words[1], exact(words[2], "bad_passkey")
}

// exact decodes base64 in its one spelling.
func exact(text, name string) []byte {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || base64.StdEncoding.EncodeToString(data) != text {
		panic(failure{"malformed", name})
	}
	return data
}

// verifySSH checks an SSHSIG and returns the key and how strongly a person was there.
func verifySSH(blob, message []byte, namespace string) (sshKey, int) {
	if len(blob) > 1024 || !bytes.HasPrefix(blob, []byte("SSHSIG")) {
		panic(failure{"malformed", "bad_sshsig"})
	}
	r := &reader{blob[6:], "bad_sshsig"}
	if r.number() != 1 {
		panic(failure{"malformed", "bad_sshsig"})
	}
	key := keyOfBlob(r.string())
	found, reserved, hash, signature := r.string(), r.string(), string(r.string()), r.string()
	r.end()
	if len(reserved) != 0 {
		panic(failure{"malformed", "bad_sshsig"})
	}
	if string(found) != namespace {
		panic(failure{"unproven", "namespace"})
	}
	var digest []byte
	switch hash {
	case "sha256":
		sum := sha256.Sum256(message)
		digest = sum[:]
	case "sha512":
		sum := sha512.Sum512(message)
		digest = sum[:]
	default:
		panic(failure{"malformed", "bad_sshsig"})
	}
	signed := []byte("SSHSIG")
	for _, part := range [][]byte{found, reserved, []byte(hash), digest} {
		signed = binary.BigEndian.AppendUint32(signed, uint32(len(part)))
		signed = append(signed, part...)
	}
	r = &reader{signature, "bad_sshsig"}
	if string(r.string()) != key.kind {
		panic(failure{"malformed", "bad_sshsig"})
	}
	bare, flags := r.string(), byte(0)
	if key.hardware() {
		tail := r.take(5)
		flags = tail[0]
		of, sum := sha256.Sum256(key.application), sha256.Sum256(signed)
		signed = append(append(append([]byte{}, of[:]...), tail...), sum[:]...)
	}
	r.end()
	if len(bare) != ed25519.SignatureSize || !ed25519.Verify(key.point, signed, bare) {
		panic(failure{"unproven", "signature"})
	}
	switch {
	case !key.hardware():
		return key, 0
	case flags&1 == 0:
		panic(failure{"unproven", "presence"})
	case flags&4 != 0:
		return key, 2
	}
	return key, 1
}

// verifyPerson checks that one of keys signed, and says how strongly.
func verifyPerson(signed object, keys []string, namespace string) int {
	text := signed.text("text")
	if !strings.HasPrefix(text, firstLines[namespace]) {
		panic(failure{"unproven", "namespace"})
	}
	if signed.has("sshsig") {
		blob := exact(signed.text("sshsig"), "bad_sshsig")
		claimed := claimedKey(blob)
		for _, each := range keys {
			if !strings.HasPrefix(each, "passkey ") && bytes.Equal(keyOfText(each).blob, claimed.blob) {
				_, factor := verifySSH(blob, []byte(text), namespace)
				return factor
			}
		}
		panic(failure{"unproven", "foreign_key"})
	}
	refusal := failure{"unproven", "foreign_key"}
	for _, each := range keys {
		if strings.HasPrefix(each, "passkey ") {
			if refusal = verifyPasskey(signed.object("passkey"), text, each); refusal.name == "" {
				return 2
			}
		}
	}
	panic(refusal)
}

func claimedKey(blob []byte) sshKey {
	if len(blob) < 14 || string(blob[:6]) != "SSHSIG" {
		panic(failure{"malformed", "bad_sshsig"})
	}
	r := &reader{blob[10:], "bad_sshsig"}
	return keyOfBlob(r.string())
}

func verifyPasskey(assertion object, text, key string) failure {
	domain, public := passkey(key)
	data := exact(assertion.text("authenticator_data"), "bad_passkey")
	client := exact(assertion.text("client_data"), "bad_passkey")
	var said map[string]any
	if len(data) < 37 || json.Unmarshal(client, &said) != nil {
		panic(failure{"malformed", "bad_passkey"})
	}
	wanted := sha256.Sum256([]byte(text))
	challenge := base64.RawURLEncoding.EncodeToString(wanted[:])
	if said["type"] != "webauthn.get" || said["challenge"] != challenge {
		return failure{"unproven", "signature"}
	}
	if of := sha256.Sum256([]byte(domain)); !bytes.Equal(data[:32], of[:]) {
		return failure{"unproven", "namespace"}
	}
	if data[32]&5 != 5 {
		return failure{"unproven", "presence"}
	}
	parsed, err := x509.ParsePKIXPublicKey(public)
	point, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok || point.Curve != elliptic.P256() {
		panic(failure{"malformed", "bad_passkey"})
	}
	hashed := sha256.Sum256(client)
	sum := sha256.Sum256(append(append([]byte{}, data...), hashed[:]...))
	if !ecdsa.VerifyASN1(point, sum[:], exact(assertion.text("signature"), "bad_passkey")) {
		return failure{"unproven", "signature"}
	}
	return failure{}
}
