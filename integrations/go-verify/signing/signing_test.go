package signing

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

type expected struct {
	Factor string            `json:"factor"`
	Points map[string]string `json:"points"`
	Signed map[string]string `json:"signed"`
	Kind   string            `json:"kind"`
	Name   string            `json:"name"`
}

type vector struct {
	Name      string              `json:"name"`
	Keys      []string            `json:"keys"`
	People    map[string][]string `json:"people"`
	Namespace string              `json:"namespace"`
	Text      string              `json:"text"`
	Note      string              `json:"note"`
	Signature Signature           `json:"signature"`
	Expect    expected            `json:"expect"`
}

func (v vector) answer(file string) (expected, error) {
	var found expected
	var err error
	switch file {
	case "signatures":
		found.Factor, err = Verify(v.Signature, v.Text, v.Keys, v.Namespace)
	case "keys":
		found.Points, err = Points(v.People)
	case "notes":
		found.Signed, err = Signers([]byte(v.Note), v.People, v.Namespace)
	}
	var refused *Failure
	if errors.As(err, &refused) {
		return expected{Kind: refused.Kind, Name: refused.Name}, nil
	}
	return found, err
}

func TestVectors(t *testing.T) {
	for _, file := range []string{"signatures", "keys", "notes"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "..", "vectors", "signing", file+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var vectors []vector
		if err := json.Unmarshal(data, &vectors); err != nil {
			t.Fatal(err)
		}
		if len(vectors) < 15 {
			t.Fatalf("%s: %d vectors", file, len(vectors))
		}
		for _, each := range vectors {
			t.Run(file+"/"+each.Name, func(t *testing.T) {
				found, err := each.answer(file)
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(found, each.Expect) {
					t.Errorf("wanted %+v, got %+v", each.Expect, found)
				}
			})
		}
	}
}
