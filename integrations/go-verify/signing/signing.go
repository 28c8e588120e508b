// Package signing checks people's signatures as docs/spec/statement.md, (S-11) to (S-16), says:
// SSHSIG by keys of Ed25519 and P-256, and passkeys. It uses Go's standard library alone.
package signing

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// Failure is a refusal by its stable name; Kind is "malformed" or "unproven".
type Failure struct {
	Kind, Name, Why string
}

func (f *Failure) Error() string { return f.Name + ": " + f.Why }

func malformed(name, why string, more ...any) error {
	return &Failure{"malformed", name, fmt.Sprintf(why, more...)}
}

func unproven(name, why string, more ...any) error {
	return &Failure{"unproven", name, fmt.Sprintf(why, more...)}
}

// Assertion is a passkey's answer, each field in base64.
type Assertion struct {
	AuthenticatorData string `json:"authenticator_data"`
	ClientData        string `json:"client_data"`
	Signature         string `json:"signature"`
}

// Signature has either of its fields.
type Signature struct {
	SSHSIG  *string    `json:"sshsig"`
	Passkey *Assertion `json:"passkey"`
}

// What a signature is for.
const (
	StatementNamespace    = "breakglass-statement@v1"
	CardNamespace         = "breakglass-card@v1"
	TrustNamespace        = "breakglass-trust@v1"
	PolicyNamespace       = "breakglass-policy@v1"
	PresentationNamespace = "breakglass-token@v1"
)

var firstLines = map[string]string{
	StatementNamespace:    "breakglass.dev/statement/v1\n",
	CardNamespace:         "breakglass.dev/card/v1\n",
	TrustNamespace:        "breakglass.dev/trust/v1\n",
	PolicyNamespace:       "breakglass.dev/policy/v1\n",
	PresentationNamespace: "breakglass.dev/presentation/v1\n",
}

// Factors are the factor classes, in their order.
var Factors = []string{"one", "two", "phishing_resistant"}

// Verify says by which factor one of a person's keys signed text, in the order of (S-13).
func Verify(signed Signature, text string, keys []string, namespace string) (string, error) {
	first, known := firstLines[namespace]
	if !known || !strings.HasPrefix(text, first) {
		return "", unproven("namespace", "the text does not begin as texts of %s do", namespace)
	}
	if signed.Passkey != nil {
		return verifyPasskey(*signed.Passkey, text, keys)
	}
	if signed.SSHSIG == nil {
		return "", malformed("bad_sshsig", "no signature")
	}
	blob, err := ExactBase64(*signed.SSHSIG, "bad_sshsig")
	if err != nil {
		return "", err
	}
	made, err := parseSSHSIG(blob)
	if err != nil {
		return "", err
	}
	theirs, err := readKeys(keys)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(theirs, func(key personKey) bool { return bytes.Equal(key.blob, made.key.blob) }) {
		return "", unproven("foreign_key", "by another key")
	}
	if err := made.verify(text, namespace); err != nil {
		return "", err
	}
	return made.factor(), nil
}

func verifyPasskey(given Assertion, text string, keys []string) (string, error) {
	made, err := parseAssertion(given)
	if err != nil {
		return "", err
	}
	theirs, err := readKeys(keys)
	if err != nil {
		return "", err
	}
	refusal := unproven("foreign_key", "this person has no passkey")
	for _, key := range theirs {
		if key.host == "" {
			continue
		}
		if refusal = made.verify(text, key); refusal == nil {
			return made.factor(), nil
		}
	}
	return "", refusal
}

// assertion is a passkey's answer in its form.
type assertion struct {
	data, clientData []byte
	value            p256Signature
}

func parseAssertion(given Assertion) (*assertion, error) {
	var parts [3][]byte
	for i, text := range []string{given.AuthenticatorData, given.ClientData, given.Signature} {
		var err error
		if parts[i], err = ExactBase64(text, "bad_passkey"); err != nil {
			return nil, err
		}
	}
	value, err := p256FromRaw(parts[2])
	if err != nil {
		return nil, err
	}
	if len(parts[0]) < 37 {
		return nil, malformed("bad_passkey", "authenticator data of %d bytes", len(parts[0]))
	}
	if len(parts[1]) > 1024 {
		return nil, malformed("bad_passkey", "client data of %d bytes", len(parts[1]))
	}
	if parts[0][32]&0x18 == 0x10 {
		return nil, malformed("bad_passkey", "backed up, and cannot be")
	}
	return &assertion{parts[0], parts[1], value}, nil
}

func (a *assertion) factor() string {
	if a.data[32]&0x08 != 0 {
		return "two"
	}
	return "phishing_resistant"
}

func (a *assertion) verify(text string, key personKey) error {
	digest := sha256.Sum256([]byte(text))
	challenge := base64.RawURLEncoding.EncodeToString(digest[:])
	// Never parsed: two readers of one JSON text may find two challenges in it.
	rest, found := bytes.CutPrefix(a.clientData, []byte(`{"type":"webauthn.get","challenge":"`+challenge+`"`))
	if !found {
		return unproven("signature", "of another text")
	}
	rest, found = bytes.CutPrefix(rest, []byte(`,"origin":"https://`+key.authority()+`","crossOrigin":false`))
	if !found || len(rest) == 0 || (rest[0] != '}' && rest[0] != ',') {
		return unproven("namespace", "on another page")
	}
	host := sha256.Sum256([]byte(key.host))
	if !bytes.Equal(a.data[:32], host[:]) {
		return unproven("namespace", "for another host")
	}
	client := sha256.Sum256(a.clientData)
	if !a.value.holds(append(bytes.Clone(a.data), client[:]...), key.point) {
		return unproven("signature", "does not hold")
	}
	if a.data[32]&0x05 != 0x05 {
		return unproven("presence", "the user was not verified")
	}
	return nil
}

// sshsig is an SSHSIG in its form.
type sshsig struct {
	key                 personKey
	namespace, hashName string
	edwards             []byte        // of Ed25519
	elliptic            p256Signature // of P-256
	behind              []byte        // flags and counter, as signed
}

func parseSSHSIG(blob []byte) (*sshsig, error) {
	const name = "bad_sshsig"
	rest, found := bytes.CutPrefix(blob, []byte("SSHSIG\x00\x00\x00\x01"))
	if !found || len(blob) > 1024 {
		return nil, malformed(name, "no SSHSIG of version 1")
	}
	outer := reader{rest: rest}
	keyBlob, namespace, reserved := outer.string(), outer.string(), outer.string()
	hashName, signature := string(outer.string()), outer.string()
	if !outer.done() || len(reserved) > 0 || newHash(hashName) == nil {
		return nil, malformed(name, "parts missing, left over, or unknown")
	}
	key, err := parseBlob(keyBlob)
	if err != nil {
		return nil, err
	}
	inner := reader{rest: signature}
	if string(inner.string()) != key.kind {
		return nil, malformed(name, "signature and key are of two types")
	}
	value := inner.string()
	made := &sshsig{key: key, namespace: string(namespace), hashName: hashName}
	if inner.failed {
		return nil, malformed(name, "cut short")
	}
	if key.elliptic() {
		if made.elliptic, err = p256FromMpints(value); err != nil {
			return nil, err
		}
	} else if made.edwards = value; len(value) != ed25519.SignatureSize {
		return nil, malformed(name, "an Ed25519 signature of %d bytes", len(value))
	}
	if key.hardware() {
		made.behind = inner.take(5)
	}
	if !inner.done() {
		return nil, malformed(name, "bytes missing or left over")
	}
	return made, nil
}

func (s *sshsig) verify(text, namespace string) error {
	if s.namespace != namespace {
		return unproven("namespace", "signed in %q", s.namespace)
	}
	hash := newHash(s.hashName)
	hash.Write([]byte(text))
	message := append([]byte("SSHSIG"), wire(namespace, "", s.hashName, string(hash.Sum(nil)))...)
	if s.key.hardware() {
		application, inner := sha256.Sum256([]byte(s.key.application)), sha256.Sum256(message)
		message = slices.Concat(application[:], s.behind, inner[:])
	}
	holds := false
	if s.key.elliptic() {
		holds = s.elliptic.holds(message, s.key.point)
	} else {
		holds = ed25519.Verify(s.key.point, message, s.edwards)
	}
	if !holds {
		return unproven("signature", "does not hold")
	}
	if s.key.hardware() && s.behind[0]&0x01 == 0 {
		return unproven("presence", "no touch")
	}
	return nil
}

func (s *sshsig) factor() string {
	switch {
	case !s.key.hardware():
		return "one"
	case s.behind[0]&0x04 != 0:
		return "phishing_resistant"
	default:
		return "two"
	}
}
