package local

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"kmsfs/kms"
)

const (
	kitLines    = 4
	kitPart     = kms.KeySize / kitLines // bytes of the key in a line
	kitCheck    = 2                      // bytes of checksum behind them
	kitGroup    = 4                      // characters
	labelKit    = "kmsfs recovery line v1"
	kitTitle    = "kmsfs recovery kit 1"
	kitIDPrefix = "root key id: "
)

// RecoveryKit is a text to be printed, from which [ParseRecoveryKit] gets the root key back.
func RecoveryKit(root []byte, store string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\nStore: %s\n%s%s\n\n", kitTitle, store, kitIDPrefix, RootKeyID(root))
	b.WriteString("Whoever has this sheet can read the store. Print it, keep it locked away from the machine,\n" +
		"and delete the file. To get the root key back, type the four lines into a file and run\n\n" +
		"    kmsfs root recover FILE\n\n")
	for i := range kitLines {
		fmt.Fprintf(&b, "    %d: %s\n", i+1, kitLine(root, i))
	}
	return b.Bytes()
}

func kitLine(root []byte, i int) string {
	part := root[i*kitPart : (i+1)*kitPart]
	text := base32.StdEncoding.EncodeToString(append(bytes.Clone(part), kitSum(i, part)...))
	var groups []string
	for ; text != ""; text = text[kitGroup:] {
		groups = append(groups, text[:kitGroup])
	}
	return strings.Join(groups, "-")
}

func kitSum(i int, part []byte) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d\x00%s", labelKit, i+1, part))
	return sum[:kitCheck]
}

// ParseRecoveryKit gets the root key from a kit, or from its four lines alone as somebody typed them: small letters, blanks
// for dashes, 0 1 8 for O I B. The error names the line with the mistake. Where the kit has the key's id, it is checked.
func ParseRecoveryKit(text []byte) ([]byte, error) {
	if len(text) > rootFileLimit {
		return nil, errors.New("recovery kit: the file is too long for one")
	}
	root, id := make([]byte, kms.KeySize), ""
	var seen [kitLines]bool
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, kitIDPrefix); ok {
			id = rest
		}
		var n int
		number, groups, ok := strings.Cut(line, ":")
		if _, err := fmt.Sscanf(number, "%d", &n); !ok || err != nil || n < 1 || n > kitLines || len(number) != 1 {
			continue
		}
		if err := readKitLine(root, n-1, groups); err != nil {
			kms.Wipe(root)
			return nil, err
		}
		seen[n-1] = true
	}
	if err := checkKit(root, seen, id); err != nil {
		kms.Wipe(root)
		return nil, err
	}
	return root, nil
}

func checkKit(root []byte, seen [kitLines]bool, id string) error {
	for i, ok := range seen {
		if !ok {
			return fmt.Errorf("recovery kit: line %d: of its lines 1: to %d: is missing", i+1, kitLines)
		}
	}
	if id != "" && id != RootKeyID(root) {
		return fmt.Errorf("recovery kit: the lines give the root key %s, but the kit says %s; lines of two kits were mixed", RootKeyID(root), id)
	}
	return nil
}

func readKitLine(root []byte, i int, groups string) error {
	clean := strings.NewReplacer("-", "", " ", "", "\t", "", "0", "O", "1", "I", "8", "B").Replace(strings.ToUpper(groups))
	raw, err := base32.StdEncoding.DecodeString(clean)
	if err != nil || len(raw) != kitPart+kitCheck || !bytes.Equal(raw[kitPart:], kitSum(i, raw[:kitPart])) {
		return fmt.Errorf("recovery kit: line %d: has a mistake; compare it with the sheet", i+1)
	}
	copy(root[i*kitPart:], raw[:kitPart])
	kms.Wipe(raw)
	return nil
}
