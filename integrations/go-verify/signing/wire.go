package signing

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"
	"math/big"
)

// reader takes RFC 4251 fields off the front; after a failure it gives nothing.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) take(count int) []byte {
	if r.failed || count > len(r.rest) {
		r.failed = true
		return nil
	}
	piece := r.rest[:count]
	r.rest = r.rest[count:]
	return piece
}

func (r *reader) string() []byte {
	length := r.take(4)
	if r.failed {
		return nil
	}
	size := binary.BigEndian.Uint32(length)
	if uint64(size) > uint64(len(r.rest)) {
		r.failed = true
		return nil
	}
	return r.take(int(size))
}

// mpint takes an integer of zero or more in its shortest form.
func (r *reader) mpint() *big.Int {
	data := r.string()
	negative := len(data) > 0 && data[0] >= 0x80
	padded := len(data) > 0 && data[0] == 0 && (len(data) == 1 || data[1] < 0x80)
	if negative || padded {
		r.failed = true
	}
	return new(big.Int).SetBytes(data)
}

func (r *reader) done() bool { return !r.failed && len(r.rest) == 0 }

func wire(parts ...string) []byte {
	var out []byte
	for _, part := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(part)))
		out = append(out, part...)
	}
	return out
}

func newHash(name string) hash.Hash {
	switch name {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// p256Signature is in its one spelling.
type p256Signature struct{ r, s *big.Int }

func p256FromMpints(data []byte) (p256Signature, error) {
	numbers := reader{rest: data}
	made := p256Signature{numbers.mpint(), numbers.mpint()}
	if !numbers.done() || !made.inRange() {
		return made, malformed("bad_sshsig", "r and s are not in their one form")
	}
	return made, nil
}

func p256FromRaw(data []byte) (p256Signature, error) {
	if len(data) != 64 {
		return p256Signature{}, malformed("bad_passkey", "a signature of %d bytes", len(data))
	}
	made := p256Signature{new(big.Int).SetBytes(data[:32]), new(big.Int).SetBytes(data[32:])}
	if !made.inRange() {
		return made, malformed("bad_passkey", "r and s are out of range")
	}
	return made, nil
}

func (p p256Signature) inRange() bool {
	order := elliptic.P256().Params().N
	half := new(big.Int).Rsh(order, 1)
	return p.r.Sign() > 0 && p.r.Cmp(order) < 0 && p.s.Sign() > 0 && p.s.Cmp(half) <= 0
}

func (p p256Signature) holds(message, point []byte) bool {
	digest := sha256.Sum256(message)
	key := &ecdsa.PublicKey{
		Curve: elliptic.P256(),
		X:     new(big.Int).SetBytes(point[1:33]),
		Y:     new(big.Int).SetBytes(point[33:]),
	}
	return ecdsa.Verify(key, digest[:], p.r, p.s)
}
