package signing

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
)

// Signers says who of people signed a note, each with their strongest factor, by.
func Signers(data []byte, people map[string][]string, namespace string) (map[string]string, error) {
	at := bytes.LastIndex(data, []byte("\n\n"))
	if at < 0 || !bytes.HasSuffix(data, []byte("\n")) {
		return nil, malformed("bad_note", "no signature lines")
	}
	text, rows := string(data[:at+1]), strings.Split(string(data[at+2:len(data)-1]), "\n")
	type line struct {
		name string
		data []byte
	}
	var lines []line
	for _, row := range rows {
		words := strings.Split(row, " ")
		if len(words) != 3 || words[0] != "—" {
			return nil, malformed("bad_note", "no signature line: %q", row)
		}
		blob, err := ExactBase64(words[2], "bad_note")
		if err != nil {
			return nil, err
		}
		if len(blob) < 5 {
			return nil, malformed("bad_note", "a short line")
		}
		lines = append(lines, line{words[1], blob})
	}
	found, used := map[string]string{}, map[string]bool{}
	for _, each := range lines {
		theirs, err := readKeys(people[each.name])
		if err != nil {
			return nil, err
		}
		known := slices.DeleteFunc(theirs, func(key personKey) bool {
			return key.host != "" || !bytes.Equal(lineID(each.name, key), each.data[:4])
		})
		if len(known) == 0 {
			continue
		}
		made, err := parseSSHSIG(each.data[4:])
		if err != nil {
			return nil, err
		}
		same := func(key personKey) bool { return bytes.Equal(key.blob, made.key.blob) }
		if !slices.ContainsFunc(known, same) {
			return nil, unproven("signature", "the line of %q is by another key", each.name)
		}
		if err := made.verify(text, namespace); err != nil {
			return nil, err
		}
		point, before := string(made.key.point), found[each.name]
		if used[point] && before == "" {
			continue // another name's key
		}
		used[point] = true
		if slices.Index(Factors, made.factor()) >= slices.Index(Factors, before) {
			found[each.name] = made.factor()
		}
	}
	return found, nil
}

func lineID(name string, key personKey) []byte {
	sum := sha256.Sum256([]byte(name + "\n\xffsshsig@breakglass.dev\n" + string(key.blob)))
	return sum[:4]
}
