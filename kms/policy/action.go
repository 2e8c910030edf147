package policy

import "strings"

// actionNames are the actions of AWS KMS. Source: Service Authorization Reference, "Actions defined by AWS KMS".
const actionNames = "CancelKeyDeletion ConnectCustomKeyStore CreateAlias CreateCustomKeyStore CreateGrant CreateKey Decrypt DeleteAlias " +
	"DeleteCustomKeyStore DeleteImportedKeyMaterial DeriveSharedSecret DescribeCustomKeyStores DescribeKey DisableKey " +
	"DisableKeyRotation DisconnectCustomKeyStore EnableKey EnableKeyRotation Encrypt GenerateDataKey GenerateDataKeyPair " +
	"GenerateDataKeyPairWithoutPlaintext GenerateDataKeyWithoutPlaintext GenerateMac GenerateRandom GetKeyLastUsage GetKeyPolicy " +
	"GetKeyRotationStatus GetParametersForImport GetPublicKey ImportKeyMaterial ListAliases ListGrants ListKeyPolicies " +
	"ListKeyRotations ListKeys ListResourceTags ListRetirableGrants PutKeyPolicy ReEncryptFrom ReEncryptTo ReplicateKey " +
	"RetireGrant RevokeGrant RotateKeyOnDemand ScheduleKeyDeletion Sign SynchronizeMultiRegionKey TagResource UntagResource " +
	"UpdateAlias UpdateCustomKeyStore UpdateKeyDescription UpdatePrimaryRegion Verify VerifyMac"

// actions is what a statement is about. Keys are names without "kms:", in AWS's case.
type actions struct {
	set map[string]struct{}
	not bool // NotAction: all but these
}

func (a *actions) match(action string) bool {
	_, ok := a.set[action]
	return ok != a.not
}

// parseActions expands patterns. A pattern that is no action of KMS is a mistake.
func parseActions(s *source, n *node, not bool) (actions, error) {
	a := actions{set: map[string]struct{}{}, not: not}
	values, err := s.strings(n)
	if err != nil {
		return a, err
	}
	for _, v := range values {
		pattern, ok := cutPrefixFold(v.text, "kms:")
		if !ok && v.text != "*" {
			return a, s.errorIn(v, "%q is no action of KMS: it has to begin with kms:", v.text)
		}
		if !ok {
			pattern = "*"
		}
		if !a.add(pattern) {
			return a, s.errorIn(v, "there is no action %q", v.text)
		}
	}
	return a, nil
}

func (a *actions) add(pattern string) (found bool) {
	folded := strings.ToLower(pattern)
	for name := range strings.SplitSeq(actionNames, " ") {
		if glob(folded, strings.ToLower(name)) {
			a.set[name] = struct{}{}
			found = true
		}
	}
	return found
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
