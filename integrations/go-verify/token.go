package main

// The verification of a token, in the nine steps of docs/spec/token.md.

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"breakglass.dev/go-verify/signing"
)

// vector is one file of vectors/token/cases.
type vector struct {
	Trust, Door, Run, Now, Token string
	NewestSeen                   *string `json:"newest_seen"`
	Outcome                      struct {
		Accepted               bool
		Kind, Name, Grant, Who string
		Index                  int64
		Factors, Cosigned      map[string]string
	}
}

type shown struct {
	intent   object
	index    int64
	factors  map[string]string
	cosigned map[string]time.Time
}

// checkVectors says of each file whether the verifier answers as it says; trust files lie in folder.
func checkVectors(folder string, files []string) error {
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var each vector
		if err := json.Unmarshal(data, &each); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		trust, err := os.ReadFile(folder + "/" + each.Trust)
		if err != nil {
			return err
		}
		wanted := each.Outcome
		found, refusal := run(each, string(trust))
		got := fmt.Sprint(refusal == nil)
		if refusal != nil {
			got += " " + refusal.kind + " " + refusal.name
		} else {
			got += told(found.intent.text("grant"), found.intent.text("who"), found.index, found.factors, times(found.cosigned))
		}
		want := fmt.Sprint(wanted.Accepted)
		if !wanted.Accepted {
			want += " " + wanted.Kind + " " + wanted.Name
		} else {
			want += told(wanted.Grant, wanted.Who, wanted.Index, wanted.Factors, wanted.Cosigned)
		}
		if got != want {
			return fmt.Errorf("%s: wanted %s, got %s", file, want, got)
		}
	}
	return nil
}

func told(grant, who string, index int64, factors, cosigned map[string]string) string {
	return fmt.Sprint(" ", grant, " ", who, " ", index, " ", factors, " ", cosigned)
}

func times(found map[string]time.Time) map[string]string {
	texts := map[string]string{}
	for name, at := range found {
		texts[name] = at.UTC().Format("2006-01-02T15:04:05.000Z")
	}
	return texts
}

func run(each vector, trust string) (found *shown, refusal *failure) {
	defer func() {
		if caught := recover(); caught != nil {
			failed, ok := caught.(failure)
			if !ok {
				panic(caught)
			}
			refusal = &failed
		}
	}()
	var seen time.Time
	if each.NewestSeen != nil {
		seen = parseTime(*each.NewestSeen)
	}
	return verifyToken([]byte(each.Token), readTrust(trust), each.Door, each.Run, parseTime(each.Now), seen), nil
}

func unproven(name string) failure { return failure{"unproven", name} }
func refused(name string) failure  { return failure{"refused", name} }

func need(holds bool, otherwise failure) {
	if !holds {
		panic(otherwise)
	}
}

// --- notes ------------------------------------------------------------------------------------------

type line struct {
	name string
	id   []byte
	data []byte
}

type signedNote struct {
	data  []byte
	text  string
	lines []line
}

func parseNote(data []byte) signedNote {
	must(len(data) <= 65536, "bad_note")
	at := bytes.LastIndex(data, []byte("\n\n"))
	must(at >= 0, "bad_note")
	found := signedNote{data: data, text: string(data[:at+1])}
	for _, each := range strings.SplitAfter(string(data[at+2:]), "\n") {
		if each == "" {
			continue
		}
		words := strings.Split(strings.TrimSuffix(each, "\n"), " ")
		must(len(words) == 3 && words[0] == "—" && strings.HasSuffix(each, "\n"), "bad_note")
		blob, err := base64.StdEncoding.DecodeString(words[2])
		must(err == nil && len(blob) >= 5, "bad_note")
		found.lines = append(found.lines, line{words[1], blob[:4], blob[4:]})
	}
	must(1 <= len(found.lines) && len(found.lines) <= 100, "bad_note")
	return found
}

// --- the trust file -----------------------------------------------------------------------------------

type trustFile struct {
	policy
	text                     string
	logKeys                  map[string]verifierKey // by origin
	submitters               map[string]verifierKey // by name and id
	roles                    map[string]string
	maintainers, custodians  map[string][]string
	points                   map[string]string // by custodian's key
	needed, custodiansNeeded int
	single                   map[string]string
	skew                     time.Duration
}

type verifierKey struct {
	name string
	id   []byte
	key  ed25519.PublicKey
}

func parseVkey(text string) verifierKey {
	name, hash, blob, err := splitKey(text)
	need(err == nil && len(blob) == 33, failure{"malformed", "bad_trust"})
	return verifierKey{name, binary.BigEndian.AppendUint32(nil, hash), blob[1:]}
}

// readTrust believes a trust file on first use: signed by its own maintainers.
func readTrust(data string) *trustFile {
	found := parseNote([]byte(data))
	t := &trustFile{policy: policy{witnesses: map[string]witness{}}, text: found.text, single: map[string]string{},
		logKeys: map[string]verifierKey{}, submitters: map[string]verifierKey{}, roles: map[string]string{},
		maintainers: map[string][]string{}, custodians: map[string][]string{}}
	for _, each := range strings.Split(found.text, "\n")[1:] {
		words := strings.Split(each, " ")
		switch {
		case each == "":
		case words[0] == "log":
			key := parseVkey(words[1])
			t.logKeys[key.name] = key
		case words[0] == "witness" || words[0] == "group" || words[0] == "quorum":
			if err := t.take(words); err != nil {
				panic(malformed("bad_trust"))
			}
		case words[0] == "submitter":
			key := parseVkey(words[2])
			label := key.name + string(key.id)
			t.submitters[label], t.roles[label] = key, words[1]
		case words[0] == "maintainer":
			t.maintainers[words[1]] = append(t.maintainers[words[1]], strings.Join(words[2:], " "))
		case words[0] == "custodian":
			t.custodians[words[1]] = append(t.custodians[words[1]], strings.Join(words[2:], " "))
		default:
			t.single[words[0]] = words[1]
		}
	}
	_, shared := signing.Points(t.maintainers)
	points, twice := signing.Points(t.custodians)
	must(shared == nil && twice == nil, "bad_trust")
	t.points = points
	t.needed, _ = strconv.Atoi(t.single["maintainers"])
	t.custodiansNeeded, _ = strconv.Atoi(t.single["custodians"])
	skew, err := time.ParseDuration(t.single["skew"])
	need(err == nil && t.needed >= 2, failure{"malformed", "bad_trust"})
	t.skew = skew
	need(len(checked(signing.Signers(found.data, t.maintainers, signing.TrustNamespace))) >= t.needed, unproven("trust_signatures"))
	return t
}

// --- the token ------------------------------------------------------------------------------------------

type carried struct {
	index int64
	line  []byte
	path  [][]byte
}

type tokenParts struct {
	parts  map[string][][]byte
	people []carried
}

var (
	order      = []string{"card", "intent", "person", "proof", "door", "justified", "presentation"}
	values     = map[string]int{"card": 1, "intent": 1, "person": 3, "proof": 1, "door": 0, "justified": 2, "presentation": 2}
	placeIndex = regexp.MustCompile(`^(0|[1-9][0-9]{0,5})$`)
)

func place(word string) int {
	for at, each := range order {
		if each == word {
			return at
		}
	}
	return -1
}

func parseToken(data []byte) tokenParts {
	must(len(data) <= 512*1024)
	for _, each := range data {
		must(each < 0x80)
	}
	lines := strings.Split(string(data), "\n")
	must(lines[0] == "breakglass.dev/token/v1" && lines[len(lines)-1] == "" && len(lines) > 1)
	found, last := tokenParts{parts: map[string][][]byte{}}, ""
	for _, each := range lines[1 : len(lines)-1] {
		words := strings.Split(each, " ")
		count, known := values[words[0]]
		follows := last == "" || (words[0] == last && last == "person") || place(words[0]) > place(last)
		must(known && count == len(words)-1 && follows)
		last = words[0]
		if last == "person" {
			found.people = append(found.people, parsePerson(words[1:]))
			continue
		}
		found.parts[last] = [][]byte{}
		for _, value := range words[1:] {
			found.parts[last] = append(found.parts[last], exact(value, "malformed"))
		}
	}
	_, proof := found.parts["proof"]
	_, door := found.parts["door"]
	must(found.parts["card"] != nil && found.parts["intent"] != nil && proof != door && len(found.people) <= 33)
	for i := 1; i < len(found.people); i++ {
		must(found.people[i-1].index < found.people[i].index)
	}
	return found
}

func parsePerson(words []string) carried {
	must(placeIndex.MatchString(words[0]))
	index, _ := strconv.ParseInt(words[0], 10, 64)
	found := carried{index: index, line: exact(words[1], "malformed")}
	if words[2] == "-" {
		return found
	}
	hashes := exact(words[2], "malformed")
	must(len(hashes) > 0 && len(hashes)%32 == 0 && len(hashes) <= 17*32)
	for ; len(hashes) > 0; hashes = hashes[32:] {
		found.path = append(found.path, hashes[:32])
	}
	return found
}

func leafHash(data []byte) []byte {
	sum := sha256.Sum256(append([]byte{0}, data...))
	return sum[:]
}

func nodeHash(left, right []byte) []byte {
	sum := sha256.Sum256(append(append([]byte{1}, left...), right...))
	return sum[:]
}

// included is RFC 9162 section 2.1.3.2.
func included(leaf []byte, index, size int64, path [][]byte, root []byte) bool {
	if index < 0 || index >= size {
		return false
	}
	at, last, reached := index, size-1, leaf
	for _, sibling := range path {
		if last == 0 {
			return false
		}
		if at%2 == 1 || at == last {
			reached = nodeHash(sibling, reached)
			for at%2 == 0 {
				at, last = at>>1, last>>1
			}
		} else {
			reached = nodeHash(reached, sibling)
		}
		at, last = at>>1, last>>1
	}
	return last == 0 && bytes.Equal(reached, root)
}

func verifyToken(data []byte, trust *trustFile, door, run string, now, seen time.Time) *shown {
	token := parseToken(data)
	// (1) The clock.
	need(!now.Before(seen.Add(-trust.skew)), refused("clock_behind"))
	// (2) The card.
	cardNote := parseNote(token.parts["card"][0])
	need(len(checked(signing.Signers(cardNote.data, trust.maintainers, signing.CardNamespace))) >= trust.needed, unproven("card_signatures"))
	card := parseCard(cardNote.text)
	need(!now.After(card.time("expires")), refused("card_expired"))
	least, _ := strconv.ParseInt(trust.single["policy-at-least"], 10, 64)
	need(card.number("version") >= least, unproven("card_version"))
	_, known := trust.logKeys[card.text("log")]
	need(known, unproven("card_log"))
	// (3) The intent.
	intentNote := parseNote(token.parts["intent"][0])
	head, intent := parseRecord(token.parts["intent"][0], intentNote, "intent", intentForm, "not_an_intent")
	checkSubmitter(intentNote, trust, "broker")
	at := head.time("at")
	need(intent.text("card") == hexOf(cardNote.text) && intent.text("glass") == card.text("glass") &&
		intent.text("tier") == card.text("tier"), unproven("wrong_card"))
	need(head.text("log") == card.text("log"), unproven("wrong_log"))
	need(intent.text("policy") == card.text("policy"), unproven("wrong_policy"))
	grant := intent.text("grant")
	need(head.text("id") == grant+"/intent" && intent.text("handle") == "bg_"+strings.TrimPrefix(grant, "g-"), unproven("wrong_id"))
	kind, name, _ := strings.Cut(door, ":")
	if kind == "gate" {
		need(holds(intent.list("gates"), name) && holds(card.list("gates"), name) && intent.text("holder") != "", refused("wrong_gate"))
	} else {
		need(intent.text("minter") == name && mintOf(card, name) != nil, refused("wrong_minter"))
	}
	// (4) People and statements.
	people := map[string]object{}
	root, _ := hex.DecodeString(card.object("people").text("root"))
	for _, each := range token.people {
		person, ok := parseJSON(string(each.line)).(object)
		must(ok)
		personForm.check(person)
		must(sortedOnce(person.list("may")))
		need(included(leafHash(each.line), each.index, card.object("people").number("count"), each.path, root), unproven("person_unproven"))
		people[person.text("who")] = person
	}
	points := checkKeys(people, card)
	asking := checkStatements(intent, card, people)
	for who := range people {
		_, signed := asking.factors[who]
		must(signed, "people_malformed")
	}
	// (5) What was asked.
	checkTerms(intent, at, asking, card, trust.skew)
	// (6) The proof, or the door.
	need(len(intentNote.lines) == 1, unproven("extra_lines"))
	found := &shown{intent, -1, asking.factors, map[string]time.Time{}}
	if proof := token.parts["proof"]; proof != nil {
		need(asking.said.text("do") != "door", unproven("wrong_do"))
		found.index, found.cosigned = prove(token.parts["intent"][0], proof[0], trust, head)
		checkLevel(token, trust, found, head)
	} else {
		checkCustodians(intent, at, asking, people, points, trust)
	}
	for _, each := range found.cosigned {
		need(!now.Before(each.Add(-trust.skew)), refused("clock_behind"))
	}
	// (7) Now.
	need(!now.Before(intent.time("not_before").Add(-trust.skew)), refused("not_yet_valid"))
	need(!now.After(intent.time("not_after")), refused("expired"))
	// (8) The holder.
	checkHolder(token, intent, asking, head.text("log"), door, run, now, trust.skew)
	// (9) A drill.
	need(asking.said["drill"] != true || kind != "gate", refused("wrong_gate"))
	return found
}

func holds(list []any, name string) bool {
	for _, each := range list {
		if each == name {
			return true
		}
	}
	return false
}

func parseRecord(data []byte, found signedNote, kind string, own form, other string) (head, body object) {
	must(len(data) <= 16384, "too_large")
	lines := strings.Split(found.text, "\n")
	must(len(lines) >= 3 && lines[0] == "breakglass.dev/record/v1")
	value, ok := parseJSON(lines[len(lines)-2]).(object)
	must(ok)
	head, body = object{}, object{}
	for name, each := range value {
		if _, of := envelope[name]; of {
			head[name] = each
		} else if name != "kind" && name != "v" {
			body[name] = each
		}
	}
	envelope.check(head)
	must(value.text("kind") == kind && value.number("v") == 1, other)
	own.check(body)
	return head, body
}

func checkSubmitter(found signedNote, trust *trustFile, role string) {
	var lines []line
	for _, each := range found.lines {
		if _, known := trust.submitters[each.name+string(each.id)]; known {
			lines = append(lines, each)
		}
	}
	need(len(lines) == 1, unproven("submitter"))
	label := lines[0].name + string(lines[0].id)
	need(len(lines[0].data) == 64 && ed25519.Verify(trust.submitters[label].key, []byte(found.text), lines[0].data), unproven("signature"))
	need(trust.roles[label] == role, unproven("submitter_role"))
}

type asked struct {
	said          object
	digest        string
	factors       map[string]string
	newest        time.Time
	countersigned []object
}

func checkStatements(intent, card object, people map[string]object) asked {
	statements := intent.list("statements")
	need(len(statements) > 0, unproven("no_statement"))
	first := statements[0].(object)
	said := parseStatement(first.text("text"))
	do := said.text("do")
	need(do == "ask" || do == "break" || do == "door" || do == "machine", unproven("wrong_do"))
	need(do != "ask" || card.number("ask_need") > 0, unproven("wrong_do"))
	found := asked{said, hexOf(first.text("text")), map[string]string{}, said.time("at"), nil}
	if do == "machine" {
		machine := card.object("machines").object(said.text("who"))
		need(machine != nil, refused("unknown_person"))
		need(machine.text("minter") == said.text("minter"), refused("wrong_minter"))
		need(machine.text("act") == said.text("act"), refused("wrong_act"))
		verifyPerson(first, []string{machine.text("key")})
		need(len(statements) == 1, unproven("wrong_do"))
		return found
	}
	check := func(who, may string, signed object) string {
		need(people[who] != nil && holds(people[who].list("may"), may), refused("unknown_person"))
		factor := verifyPerson(signed, texts(people[who].list("keys")))
		need(slices.Index(signing.Factors, factor) >= slices.Index(signing.Factors, card.text("factor")), refused("weak_factor"))
		return factor
	}
	found.factors[said.text("who")] = check(said.text("who"), "break", first)
	for _, each := range statements[1:] {
		signed := each.(object)
		answer := parseStatement(signed.text("text"))
		who := answer.text("who")
		if answer.text("do") == "countersign" && do == "door" {
			found.countersigned = append(found.countersigned, signed)
			continue
		}
		need(answer.text("do") == "approve" && found.countersigned == nil, unproven("wrong_do"))
		factor := check(who, "approve", signed)
		need(answer.text("answers") == found.digest, unproven("wrong_answer"))
		need(answer.text("log") == card.text("log"), unproven("wrong_log"))
		_, stands := found.factors[who]
		need(!stands, refused("same_person"))
		found.factors[who] = factor
		if answer.time("at").After(found.newest) {
			found.newest = answer.time("at")
		}
	}
	wanted := card.number("need")
	if do == "ask" {
		wanted = card.number("ask_need")
	}
	need(int64(len(found.factors)) > wanted, refused("too_few_people"))
	return found
}

func texts(list []any) []string {
	found := make([]string, len(list))
	for i, each := range list {
		found[i] = each.(string)
	}
	return found
}

func verifyPerson(signed object, keys []string) string {
	return checked(signing.Verify(signatureOf(signed), signed.text("text"), keys, signing.StatementNamespace))
}

// signatureOf takes what form signedBy has checked.
func signatureOf(signed object) signing.Signature {
	if signed.has("sshsig") {
		blob := signed.text("sshsig")
		return signing.Signature{SSHSIG: &blob}
	}
	made := signed.object("passkey")
	return signing.Signature{Passkey: &signing.Assertion{AuthenticatorData: made.text("authenticator_data"),
		ClientData: made.text("client_data"), Signature: made.text("signature")}}
}

func grantOf(digest string) string {
	raw, _ := hex.DecodeString(digest)
	return "g-" + strings.ToLower(base32.StdEncoding.EncodeToString(raw)[:12])
}

func written(value any) string {
	var out bytes.Buffer
	if found, ok := value.(object); ok && found == nil {
		value = object{}
	}
	writeJSON(&out, value)
	return out.String()
}

func checkTerms(intent object, at time.Time, asking asked, card object, skew time.Duration) {
	said, do := asking.said, asking.said.text("do")
	need(intent.text("grant") == grantOf(asking.digest), unproven("intent_mismatch"))
	for _, name := range []string{"glass", "who", "incident", "ticket", "minter", "act", "holder", "policy"} {
		need(intent.text(name) == said.text(name), unproven("intent_mismatch"))
	}
	need(written(intent.object("scope")) == written(said.object("scope")), unproven("intent_mismatch"))
	way := map[string]string{"ask": "jit", "break": "glass", "door": "glass", "machine": "machine"}[do]
	if said["drill"] == true {
		way = "drill"
	}
	need(intent.text("path") == way, unproven("intent_mismatch"))
	need(said.text("log") == card.text("log"), unproven("wrong_log"))
	checkWithin(said, card)
	for _, each := range intent.list("gates") {
		need(holds(card.list("gates"), each.(string)), unproven("scope_widened"))
	}
	longest := min(said.seconds("for_s"), card.seconds("for_s"))
	if do == "door" {
		longest = min(longest, time.Hour)
	}
	before, after, counted := intent.time("not_before"), intent.time("not_after"), at
	if said.text("starts") != "" {
		need(len(intent.list("gates")) == 0, refused("wrong_gate"))
		starts := said.time("starts")
		need(starts.After(at) && !starts.After(at.Add(card.seconds("ahead_s"))) && before.Equal(starts) &&
			after.After(starts) && !after.After(starts.Add(longest)), unproven("life_lengthened"))
		counted = after
	} else {
		need(!before.Before(at.Add(-skew)) && after.After(before) && !after.After(at.Add(longest)), unproven("life_lengthened"))
	}
	review := intent.time("review_by")
	need(review.After(counted) && !review.After(counted.Add(92*24*time.Hour)), unproven("review_due"))
	fresh, wait := skew, max(card.seconds("wait_s"), skew)
	if do == "door" {
		fresh, wait = time.Hour, time.Hour
	}
	need(-skew <= at.Sub(asking.newest) && at.Sub(asking.newest) <= fresh, unproven("statement_old"))
	need(!at.After(said.time("at").Add(wait)), unproven("waited_too_long"))
}

func checkWithin(said, card object) {
	scope := said.object("scope")
	if said.text("minter") == "" {
		need(len(scope) == 0, unproven("scope_widened"))
		return
	}
	mint := mintOf(card, said.text("minter"))
	need(mint != nil, unproven("scope_widened"))
	acts := mint.object("acts")
	need(len(acts) == 0 && said.text("act") == "" || acts.has(said.text("act")), unproven("wrong_act"))
	if said.text("do") == "machine" {
		return
	}
	most := mint.object("scope")
	need(len(scope) == len(most), unproven("scope_widened"))
	for dimension, values := range scope {
		for _, each := range values.([]any) {
			need(holds(most.list(dimension), each.(string)), unproven("scope_widened"))
		}
	}
}

func checkCustodians(intent object, at time.Time, asking asked, people map[string]object, points map[string]string, trust *trustFile) {
	need(trust.single["door"] == "yes", refused("door"))
	need(asking.said.text("do") == "door", unproven("wrong_do"))
	involved := map[string]bool{}
	for _, person := range people {
		for _, key := range texts(person.list("keys")) {
			involved[points[key]] = true
		}
	}
	found, newest := map[string]bool{}, time.Time{}
	for _, signed := range asking.countersigned {
		word := parseStatement(signed.text("text"))
		who := word.text("who")
		keys := trust.custodians[who]
		need(len(keys) > 0, refused("unknown_person"))
		verifyPerson(signed, keys)
		need(word.text("answers") == asking.digest, unproven("wrong_answer"))
		need(word.text("card") == intent.text("card"), unproven("wrong_card"))
		need(word.text("log") == asking.said.text("log"), unproven("wrong_log"))
		_, signs := asking.factors[who]
		need(!found[who] && !signs, refused("same_person"))
		for _, key := range keys {
			need(!involved[trust.points[key]], refused("same_person"))
		}
		found[who] = true
		if word.time("at").After(newest) {
			newest = word.time("at")
		}
	}
	need(len(found) >= trust.custodiansNeeded, unproven("custodians"))
	need(!newest.Before(at.Add(-time.Hour)) && !newest.After(at.Add(trust.skew)), unproven("statement_old"))
}

// --- the proof ------------------------------------------------------------------------------------------

func prove(data, proof []byte, trust *trustFile, head object) (int64, map[string]time.Time) {
	index, path, checkpoint := parseProof(proof)
	lines := strings.Split(checkpoint.text, "\n")
	log, known := trust.logKeys[lines[0]]
	need(known, unproven("unknown_log"))
	signed := false
	for _, each := range checkpoint.lines {
		if each.name == log.name && bytes.Equal(each.id, log.id) {
			need(len(each.data) == 64 && ed25519.Verify(log.key, []byte(checkpoint.text), each.data), unproven("log_signature"))
			signed = true
		}
	}
	need(signed, unproven("log_signature"))
	at, all, inTime := head.time("at"), map[string]time.Time{}, map[string]time.Time{}
	for name, each := range trust.witnesses {
		for _, line := range checkpoint.lines {
			if line.name != each.name || binary.BigEndian.Uint32(line.id) != each.hash {
				continue
			}
			need(len(line.data) == 72, unproven("cosignature"))
			seconds := binary.BigEndian.Uint64(line.data)
			message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", seconds, checkpoint.text)
			need(1 <= seconds && seconds <= 253402300799 && ed25519.Verify(each.key, []byte(message), line.data[8:]), unproven("cosignature"))
			moment := time.Unix(int64(seconds), 0)
			all[name] = moment
			if late := moment.Sub(at); -trust.skew <= late && late <= trust.skew {
				if before, stands := inTime[name]; !stands || moment.Before(before) {
					inTime[name] = moment
				}
			}
		}
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	size, wrong := strconv.ParseInt(lines[1], 10, 64)
	must(err == nil && wrong == nil, "proof_malformed")
	inside := included(leafHash(data), index, size, path, root)
	if !trust.quorumMet(inTime) {
		need(trust.quorumMet(all), unproven("quorum"))
		need(inside, unproven("inclusion"))
		panic(unproven("proven_late"))
	}
	need(inside, unproven("inclusion"))
	need(lines[0] == head.text("log"), unproven("wrong_log"))
	return index, inTime
}

func (t *trustFile) quorumMet(by map[string]time.Time) bool {
	met := map[string]bool{}
	for name := range by {
		met[name] = true
	}
	for _, each := range t.groups {
		count := 0
		for _, member := range each.members {
			if met[member] {
				count++
			}
		}
		met[each.name] = count >= each.needed
	}
	return met[t.quorum]
}

func parseProof(data []byte) (index int64, path [][]byte, checkpoint signedNote) {
	defer func() {
		if caught := recover(); caught != nil {
			panic(malformed("proof_malformed"))
		}
	}()
	must(len(data) <= 131072)
	top, rest, gap := bytes.Cut(data, []byte("\n\n"))
	lines := strings.Split(string(top), "\n")
	must(gap && lines[0] == "c2sp.org/tlog-proof@v1")
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		exact(lines[0][6:], "proof_malformed")
		lines = lines[1:]
	}
	must(len(lines) > 0 && strings.HasPrefix(lines[0], "index ") && len(lines) <= 64)
	index, err := strconv.ParseInt(lines[0][6:], 10, 64)
	must(err == nil && index >= 0 && strconv.FormatInt(index, 10) == lines[0][6:])
	for _, each := range lines[1:] {
		hash := exact(each, "proof_malformed")
		must(len(hash) == 32)
		path = append(path, hash)
	}
	checkpoint = parseNote(rest)
	must(len(strings.Split(checkpoint.text, "\n")) >= 4)
	return index, path, checkpoint
}

func checkLevel(token tokenParts, trust *trustFile, found *shown, head object) {
	level := trust.single["level"]
	if level == "archived" || level == "justified" {
		_, archived := found.cosigned[trust.single["archiver"]]
		need(archived, unproven("level"))
	}
	if level != "justified" {
		return
	}
	parts := token.parts["justified"]
	need(parts != nil, unproven("level"))
	said := parseNote(parts[0])
	own, body := parseRecord(parts[0], said, "justified", justifiedForm, "malformed")
	checkSubmitter(said, trust, "monitor")
	need(len(said.lines) == 1, unproven("extra_lines"))
	prove(parts[0], parts[1], trust, own)
	leaf := hex.EncodeToString(leafHash(token.parts["intent"][0]))
	need(body.text("grant") == found.intent.text("grant") && body.text("leaf") == leaf && body.number("index") == found.index &&
		body.text("policy") == found.intent.text("policy") && own.text("log") == head.text("log"), unproven("justified"))
}

func checkHolder(token tokenParts, intent object, asking asked, log, door, run string, now time.Time, skew time.Duration) {
	parts := token.parts["presentation"]
	if asking.said.text("do") == "machine" {
		need(parts == nil && run == intent.text("grant"), refused("holder"))
		return
	}
	need(parts != nil, unproven("holder"))
	text := string(parts[0])
	blob := base64.StdEncoding.EncodeToString(parts[1])
	factor, err := signing.Verify(signing.Signature{SSHSIG: &blob}, text, []string{intent.text("holder")}, signing.PresentationNamespace)
	refusal, failed := err.(*signing.Failure)
	need(!failed || refusal.Kind != "unproven", unproven("holder"))
	checked(factor, err)
	must(len(text) <= 2048, "too_large")
	said := parseText(text, "breakglass.dev/presentation/v1")
	shownForm.check(said)
	need(said.text("log") == log && said.text("statement") == asking.digest, unproven("holder"))
	need(said.text("to") == door, refused("wrong_door"))
	need(said.text("run") == run && run != "", refused("wrong_run"))
	at := said.time("at")
	need(!at.Before(asking.said.time("at").Add(-skew)) && !at.After(intent.time("not_after")) && !at.After(now.Add(skew)), refused("presentation_time"))
}
