package main

// Canonical JSON and the forms of what a token carries. Source: docs/spec/{statement,card,record}.md.

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"breakglass.dev/go-verify/signing"
)

// failure is why a token does not open: a kind, and a name that never changes.
type failure struct{ kind, name string }

type object map[string]any

func (o object) has(name string) bool           { _, ok := o[name]; return ok }
func (o object) text(name string) string        { found, _ := o[name].(string); return found }
func (o object) number(name string) int64       { found, _ := o[name].(int64); return found }
func (o object) object(name string) object      { found, _ := o[name].(object); return found }
func (o object) list(name string) []any         { found, _ := o[name].([]any); return found }
func (o object) time(name string) time.Time     { return parseTime(o.text(name)) }
func (o object) seconds(n string) time.Duration { return time.Duration(o.number(n)) * time.Second }

func malformed(name ...string) failure {
	if len(name) > 0 {
		return failure{"malformed", name[0]}
	}
	return failure{"malformed", "malformed"}
}

func must(holds bool, name ...string) {
	if !holds {
		panic(malformed(name...))
	}
}

// checked returns what package signing has found, or fails as it did.
func checked[T any](value T, err error) T {
	if err != nil {
		refusal := err.(*signing.Failure)
		panic(failure{refusal.Kind, refusal.Name})
	}
	return value
}

// exact reads base64 in its one spelling.
func exact(text, name string) []byte { return checked(signing.ExactBase64(text, name)) }

func hexOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// parseJSON reads RFC 8785 JSON without floats: writing it again gives the same bytes.
func parseJSON(text string) any {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	must(decoder.Decode(&value) == nil, "bad_json")
	plain := plainJSON(value)
	var out bytes.Buffer
	writeJSON(&out, plain)
	must(out.String() == text, "not_canonical")
	return plain
}

func plainJSON(value any) any {
	switch found := value.(type) {
	case json.Number:
		number, err := strconv.ParseInt(string(found), 10, 64)
		must(err == nil && number < 1<<53 && number > -(1<<53), "not_integer")
		return number
	case []any:
		for i := range found {
			found[i] = plainJSON(found[i])
		}
		return found
	case map[string]any:
		plain := object{}
		for key, each := range found {
			plain[key] = plainJSON(each)
		}
		return plain
	}
	return value
}

func writeJSON(out *bytes.Buffer, value any) {
	switch found := value.(type) {
	case nil:
		out.WriteString("null")
	case bool:
		out.WriteString(strconv.FormatBool(found))
	case int64:
		out.WriteString(strconv.FormatInt(found, 10))
	case string:
		writeText(out, found)
	case []any:
		for i, each := range found {
			out.WriteString([]string{"[", ","}[min(i, 1)])
			writeJSON(out, each)
		}
		if len(found) == 0 {
			out.WriteByte('[')
		}
		out.WriteByte(']')
	case object:
		keys := make([]string, 0, len(found))
		for key := range found {
			keys = append(keys, key)
		}
		sort.Slice(keys, func(i, j int) bool {
			a, b := utf16.Encode([]rune(keys[i])), utf16.Encode([]rune(keys[j]))
			for at := 0; at < len(a) && at < len(b); at++ {
				if a[at] != b[at] {
					return a[at] < b[at]
				}
			}
			return len(a) < len(b)
		})
		out.WriteByte('{')
		for i, key := range keys {
			if i > 0 {
				out.WriteByte(',')
			}
			writeText(out, key)
			out.WriteByte(':')
			writeJSON(out, found[key])
		}
		out.WriteByte('}')
	}
}

func writeText(out *bytes.Buffer, text string) {
	out.WriteByte('"')
	for _, each := range text {
		switch {
		case each == '"' || each == '\\':
			out.WriteByte('\\')
			out.WriteRune(each)
		case each < 0x20:
			if at := strings.IndexRune("\b\t\n\f\r", each); at >= 0 {
				out.WriteByte('\\')
				out.WriteByte("btnfr"[at])
			} else {
				out.WriteString("\\u00" + hex.EncodeToString([]byte{byte(each)}))
			}
		default:
			out.WriteRune(each)
		}
	}
	out.WriteByte('"')
}

// lines reads a signed text: a header, one line of JSON, a line end.
func parseText(text, header string) object {
	lines := strings.Split(text, "\n")
	must(len(lines) == 3 && lines[0] == header && lines[2] == "", "bad_lines")
	value, ok := parseJSON(lines[1]).(object)
	must(ok)
	return value
}

// --- words ----------------------------------------------------------------------------------------

type rule func(value any)

func pattern(expression string) rule {
	compiled := regexp.MustCompile(`^(?:` + expression + `)$`)
	return func(value any) {
		text, ok := value.(string)
		must(ok && compiled.MatchString(text) && !strings.HasSuffix(text, "\n"))
	}
}

func between(least, most int64) rule {
	return func(value any) {
		number, ok := value.(int64)
		must(ok && least <= number && number <= most)
	}
}

func prose(least, most int) rule {
	return func(value any) {
		text, ok := value.(string)
		count := len([]rune(text))
		must(ok && least <= count && count <= most && (least == 0 || strings.Trim(text, " ") != ""))
		for _, each := range text {
			must(!unseen(each), "bad_text")
		}
	}
}

func oneOf(words ...string) rule {
	return func(value any) {
		for _, word := range words {
			if value == word {
				return
			}
		}
		panic(malformed())
	}
}

func many(item rule, least, most int) rule {
	return func(value any) {
		list, ok := value.([]any)
		must(ok && least <= len(list) && len(list) <= most)
		for _, each := range list {
			item(each)
		}
	}
}

func table(key, item rule, most int) rule {
	return func(value any) {
		found, ok := value.(object)
		must(ok && len(found) <= most)
		for name, each := range found {
			key(name)
			item(each)
		}
	}
}

func flag(value any) { _, ok := value.(bool); must(ok) }

func instant(value any) { text, ok := value.(string); must(ok); parseTime(text) }

func instantOrNothing(value any) {
	if value != "" {
		instant(value)
	}
}

func parseTime(text string) time.Time {
	moment, err := time.Parse("2006-01-02T15:04:05.000Z", text)
	must(err == nil && len(text) == 24 && 2000 <= moment.Year() && moment.Year() < 3000, "bad_time")
	return moment
}

type form map[string]rule

func (f form) check(value any) {
	found, ok := value.(object)
	must(ok)
	for name := range found {
		must(f[name] != nil, "unknown_field")
	}
	for name, rule := range f {
		must(found.has(name), "missing_field")
		rule(found[name])
	}
}

func (f form) with(more form) form {
	joined := form{}
	for _, each := range []form{f, more} {
		for name, rule := range each {
			joined[name] = rule
		}
	}
	return joined
}

var unseenRanges = [][2]rune{
	{0x0000, 0x001F}, {0x007F, 0x009F}, {0x00AD, 0x00AD}, {0x034F, 0x034F}, {0x061C, 0x061C},
	{0x115F, 0x1160}, {0x17B4, 0x17B5}, {0x180B, 0x180F}, {0x200B, 0x200F}, {0x2028, 0x202E},
	{0x2060, 0x206F}, {0x3164, 0x3164}, {0xD800, 0xF8FF}, {0xFDD0, 0xFDEF}, {0xFE00, 0xFE0E},
	{0xFEFF, 0xFEFF}, {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFB}, {0xFFFE, 0xFFFF}, {0x1BCA0, 0x1BCA3},
	{0x1D173, 0x1D17A}, {0xE0000, 0x10FFFF},
}

func unseen(each rune) bool {
	for _, limits := range unseenRanges {
		if limits[0] <= each && each <= limits[1] {
			return true
		}
	}
	return each >= 0x10000 && each&0xFFFE == 0xFFFE
}

const (
	nameOf = `[a-z0-9][a-z0-9._-]{0,62}`
	logOf  = `[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}`
	b64    = `[A-Za-z0-9+/=]`
)

var (
	handle      = pattern(nameOf)
	maybeHandle = pattern(`(` + nameOf + `)?`)
	logName     = pattern(logOf)
	digest      = pattern(`[0-9a-f]{64}`)
	maybeDigest = pattern(`([0-9a-f]{64})?`)
	nonce       = pattern(`[0-9a-f]{32}`)
	grantID     = pattern(`g-[a-z2-7]{12}`)
	code        = pattern(`[a-z][a-z0-9_-]{0,62}`)
	maybeID     = pattern(`([A-Za-z0-9][A-Za-z0-9._-]{0,31})?`)
	holderKey   = pattern(`ssh-ed25519 [A-Za-z0-9+/]{68}`)
	maybeHolder = pattern(`(ssh-ed25519 [A-Za-z0-9+/]{68})?`)
	word        = prose(0, 200)
	reason      = prose(1, 500)
	scope       = table(code, many(word, 1, 64), 16)
	seconds     = between(1, 43200)
	count       = between(0, 1<<53-1)
	sshKinds    = `(ssh-ed25519|sk-ssh-ed25519@openssh\.com|ecdsa-sha2-nistp256|sk-ecdsa-sha2-nistp256@openssh\.com) `
	personKey   = pattern(sshKinds + b64 + `{20,400}|passkey [a-z0-9.-]{1,253}(:[1-9][0-9]{0,4})? ` + b64 + `{20,400}`)
	machineKey  = pattern(`(ssh-ed25519|ecdsa-sha2-nistp256) ` + b64 + `{20,400}`)
	door        = pattern(`(gate|minter):` + nameOf)

	why     = form{"code": code, "text": reason}
	signers = many(signedBy, 0, 33)
	tier    = oneOf("self", "two", "sealed")
	path    = oneOf("jit", "glass", "machine", "drill")

	envelope  = form{"log": logName, "id": pattern(logOf), "at": instant, "seq": count, "prev": digest}
	act       = form{"argv": many(word, 1, 64), "within_s": between(1, 3600), "output": oneOf("none", "asker")}
	cardMint  = form{"minter": handle, "platform": handle, "scope": scope, "acts": table(handle, act.check, 16)}
	machineOf = form{"key": machineKey, "minter": handle, "act": handle, "at_most": between(1, 1000),
		"per_s": between(1, 604800), "cool_down_s": between(0, 604800)}
	cardForm = form{"log": logName, "glass": handle, "does": reason, "gates": many(handle, 0, 64),
		"mints": many(cardMint.check, 0, 32), "tier": tier, "need": between(0, 16), "ask_need": between(0, 16),
		"factor": oneOf(signing.Factors...), "for_s": seconds, "wait_s": between(0, 3600), "silence_s": between(0, 3600),
		"ahead_s": between(0, 604800), "people": form{"root": digest, "count": between(0, 100000)}.check,
		"machines": table(handle, machineOf.check, 64), "policy": digest, "version": count, "issued": instant,
		"expires": instant}
	personForm = form{"who": handle, "may": many(oneOf("break", "approve", "review", "kill"), 0, 4),
		"keys": many(personKey, 1, 16)}
	intentForm = form{"grant": grantID, "path": path, "tier": tier, "card": digest, "policy": digest, "glass": handle,
		"who": handle, "incident": maybeID, "ticket": word, "minter": maybeHandle, "scope": scope, "act": maybeHandle,
		"gates": many(handle, 0, 64), "holder": maybeHolder, "not_before": instant, "not_after": instant, "handle": code,
		"review_by": instant, "statements": signers}
	justifiedForm = form{"grant": grantID, "leaf": digest, "index": count, "policy": digest}
	shownForm     = form{"log": logName, "statement": digest, "to": door, "run": prose(1, 200), "at": instant}

	said    = form{"do": word, "log": logName, "who": handle, "at": instant, "nonce": nonce}
	request = said.with(form{"policy": digest, "glass": handle, "incident": maybeID, "reason": why.check, "for_s": seconds})
	held    = request.with(form{"minter": maybeHandle, "scope": scope, "act": maybeHandle, "ticket": word, "holder": holderKey})
	answer  = said.with(form{"answers": digest, "reason": why.check})
	forms   = map[string]form{
		"ask":         held.with(form{"drill": flag, "starts": instantOrNothing}),
		"break":       held.with(form{"drill": flag, "after": maybeDigest}),
		"door":        held,
		"machine":     request.with(form{"minter": handle, "act": handle}),
		"approve":     answer,
		"refuse":      answer,
		"withdraw":    answer,
		"done":        answer,
		"countersign": answer.with(form{"card": digest}),
	}
)

func signedBy(value any) {
	found, ok := value.(object)
	must(ok && len(found) == 2)
	if found.has("sshsig") {
		form{"text": func(any) {}, "sshsig": encoded}.check(value)
		return
	}
	assertion := form{"authenticator_data": encoded, "client_data": encoded, "signature": encoded}
	form{"text": func(any) {}, "passkey": assertion.check}.check(value)
}

func encoded(value any) {
	text, ok := value.(string)
	must(ok)
	must(len(text) <= 8192, "bad_base64")
	exact(text, "bad_base64")
}

func parseStatement(text string) object {
	must(len(text) <= 4096, "too_large")
	value := parseText(text, "breakglass.dev/statement/v1")
	found := forms[value.text("do")]
	must(found != nil)
	found.check(value)
	if value.has("scope") {
		checkScope(value.object("scope"))
	}
	must(value.text("act") == "" || value.text("minter") != "")
	must(value["drill"] != true || value.number("for_s") <= 1200)
	return value
}

func sortedOnce(values []any) bool {
	for i := 1; i < len(values); i++ {
		if values[i-1].(string) >= values[i].(string) {
			return false
		}
	}
	return true
}

func checkScope(scope object) {
	for _, values := range scope {
		must(sortedOnce(values.([]any)))
	}
	for _, each := range scope.list("source") {
		text := each.(string)
		prefix, err := netip.ParsePrefix(text)
		must(err == nil && prefix.Masked() == prefix && prefix.String() == text && !strings.HasPrefix(text, "::ffff:"))
	}
}

func parseCard(text string) object {
	card := parseText(text, "breakglass.dev/card/v1")
	cardForm.check(card)
	life := card.time("expires").Sub(card.time("issued"))
	must(0 < life && life <= 92*24*time.Hour && sortedOnce(card.list("gates")))
	seen := map[string]bool{}
	for _, each := range card.list("mints") {
		mint := each.(object)
		must(!seen[mint.text("minter")])
		seen[mint.text("minter")] = true
		checkScope(mint.object("scope"))
		for _, act := range mint.object("acts") {
			must(strings.HasPrefix(act.(object).list("argv")[0].(string), "/"))
		}
	}
	need, ask := card.number("need"), card.number("ask_need")
	must(card.text("tier") != "two" || need > 0)
	must(ask == 0 || ask >= max(1, need))
	must(len(card.object("machines")) == 0 || need == 0)
	must(card.text("tier") != "sealed" || len(card.list("gates"))+len(card.list("mints")) == 0)
	for _, each := range card.object("machines") {
		mint := mintOf(card, each.(object).text("minter"))
		must(mint != nil && mint.object("acts").has(each.(object).text("act")))
	}
	checkKeys(nil, card)
	return card
}

func mintOf(card object, minter string) object {
	for _, each := range card.list("mints") {
		if mint := each.(object); mint.text("minter") == minter {
			return mint
		}
	}
	return nil
}

// checkKeys refuses a key that two people, or a person and a machine, have, and returns each key's point.
func checkKeys(people map[string]object, card object) map[string]string {
	owners := map[string][]string{}
	for name, person := range people {
		owners[name] = texts(person.list("keys"))
	}
	for name, machine := range card.object("machines") {
		owners["~"+name] = []string{machine.(object).text("key")} // sorts behind all people, and is none
	}
	return checked(signing.Points(owners))
}
