package kms

// Operation is an operation of AWS KMS, by its name there. Audit records have it.
type Operation string

// The operations that this package knows.
const (
	OpCreateKey                Operation = "CreateKey"
	OpDescribeKey              Operation = "DescribeKey"
	OpListKeys                 Operation = "ListKeys"
	OpEnableKey                Operation = "EnableKey"
	OpDisableKey               Operation = "DisableKey"
	OpScheduleKeyDeletion      Operation = "ScheduleKeyDeletion"
	OpCancelKeyDeletion        Operation = "CancelKeyDeletion"
	OpUpdateKeyDescription     Operation = "UpdateKeyDescription"
	OpRotateKeyOnDemand        Operation = "RotateKeyOnDemand"
	OpListKeyRotations         Operation = "ListKeyRotations"
	OpCreateAlias              Operation = "CreateAlias"
	OpUpdateAlias              Operation = "UpdateAlias"
	OpDeleteAlias              Operation = "DeleteAlias"
	OpListAliases              Operation = "ListAliases"
	OpGenerateDataKey          Operation = "GenerateDataKey"
	OpGenerateWithoutPlaintext Operation = "GenerateDataKeyWithoutPlaintext"
	OpEncrypt                  Operation = "Encrypt"
	OpDecrypt                  Operation = "Decrypt"
	OpReEncrypt                Operation = "ReEncrypt"
	OpReEncryptFrom            Operation = "ReEncryptFrom" // ReEncrypt, as policies and grants see its source
	OpReEncryptTo              Operation = "ReEncryptTo"   // and its destination
	OpGetKeyPolicy             Operation = "GetKeyPolicy"
	OpPutKeyPolicy             Operation = "PutKeyPolicy"
	OpListKeyPolicies          Operation = "ListKeyPolicies"
	OpCreateGrant              Operation = "CreateGrant"
	OpListGrants               Operation = "ListGrants"
	OpListRetirableGrants      Operation = "ListRetirableGrants"
	OpRetireGrant              Operation = "RetireGrant"
	OpRevokeGrant              Operation = "RevokeGrant"
	OpTagResource              Operation = "TagResource"
	OpUntagResource            Operation = "UntagResource"
	OpListResourceTags         Operation = "ListResourceTags"
	OpEnableKeyRotation        Operation = "EnableKeyRotation"
	OpDisableKeyRotation       Operation = "DisableKeyRotation"
	OpGetKeyRotationStatus     Operation = "GetKeyRotationStatus"
	OpGetParametersForImport   Operation = "GetParametersForImport"
	OpImportKeyMaterial        Operation = "ImportKeyMaterial"
	OpDeleteImportedMaterial   Operation = "DeleteImportedKeyMaterial"
	OpSign                     Operation = "Sign"
	OpVerify                   Operation = "Verify"
	OpGenerateMac              Operation = "GenerateMac"
	OpVerifyMac                Operation = "VerifyMac"
	OpGetPublicKey             Operation = "GetPublicKey"
	OpDeleteKey                Operation = "DeleteKey" // by the service itself, when a deletion is due
)

// More operations on keys, and one that a grant may name though this package does not have it.
const (
	OpGenerateDataKeyPair                 Operation = "GenerateDataKeyPair"
	OpGenerateDataKeyPairWithoutPlaintext Operation = "GenerateDataKeyPairWithoutPlaintext"
	OpGetKeyLastUsage                     Operation = "GetKeyLastUsage"
	OpDeriveSharedSecret                  Operation = "DeriveSharedSecret"
)

// verdict is one cell of the table of key states.
type verdict int

const (
	allowed verdict = iota
	isDisabled
	isPendingDeletion
	isNotPendingDeletion
	isPendingImport
	isExternal
	isCreating
	isUpdating
	isUnavailable
)

// verdicts is a row: Enabled, Disabled, PendingDeletion, PendingImport, Creating, Updating, Unavailable.
type verdicts [7]verdict

// row is the table of AWS KMS Developer Guide, "Key states of AWS KMS keys".
func row(op Operation) verdicts {
	switch op {
	case OpReplicateKey:
		return verdicts{allowed, isDisabled, isPendingDeletion, isPendingImport, isCreating, isUpdating, isUnavailable}
	case OpEncrypt, OpDecrypt, OpReEncrypt, OpGenerateDataKey, OpGenerateWithoutPlaintext, OpGenerateDataKeyPair,
		OpGenerateDataKeyPairWithoutPlaintext, OpUpdatePrimaryRegion,
		OpSign, OpVerify, OpGenerateMac, OpVerifyMac, OpGetPublicKey, OpCreateGrant:
		return verdicts{allowed, isDisabled, isPendingDeletion, isPendingImport, isCreating, allowed, isUnavailable}
	case OpEnableKey, OpDisableKey:
		return verdicts{allowed, allowed, isPendingDeletion, isPendingImport, isCreating, isUpdating, allowed}
	case OpCreateAlias, OpUpdateAlias, OpUpdateKeyDescription, OpTagResource, OpUntagResource:
		return verdicts{allowed, allowed, isPendingDeletion, allowed, allowed, allowed, allowed}
	case OpScheduleKeyDeletion:
		return verdicts{allowed, allowed, isPendingDeletion, allowed, allowed, isUpdating, allowed}
	case OpCancelKeyDeletion:
		return verdicts{isNotPendingDeletion, isNotPendingDeletion, allowed, isNotPendingDeletion, isNotPendingDeletion, isNotPendingDeletion, isNotPendingDeletion}
	case OpRotateKeyOnDemand, OpEnableKeyRotation, OpDisableKeyRotation:
		return verdicts{allowed, isDisabled, isPendingDeletion, isExternal, isCreating, allowed, isUnavailable}
	case OpGetKeyRotationStatus:
		return verdicts{allowed, allowed, allowed, isExternal, allowed, allowed, allowed}
	case OpGetParametersForImport, OpImportKeyMaterial, OpDeleteImportedMaterial:
		return verdicts{allowed, allowed, isPendingDeletion, allowed, isCreating, isUpdating, allowed}
	}
	return verdicts{} // DescribeKey, DeleteAlias, policies, the end of grants, lists: in every state
}

func column(s KeyState) int {
	switch s {
	case StateEnabled:
		return 0
	case StateDisabled:
		return 1
	case StatePendingDeletion, StatePendingReplicaDeletion:
		return 2
	case StatePendingImport:
		return 3
	case StateCreating:
		return 4
	case StateUpdating:
		return 5
	}
	return 6 // Unavailable, and what this release does not know
}

// CheckState tells whether op may be done with m's key in its state. The error is AWS's, to the letter. For
// [OpUpdateAlias], m is the key that the alias shall point to.
func CheckState(op Operation, m KeyMetadata) error {
	code, text := KMSInvalidStateException, ""
	switch row(op)[column(m.State)] {
	case allowed:
		return nil
	case isDisabled:
		code, text = DisabledException, " is disabled."
	case isPendingDeletion:
		text = " is pending deletion."
	case isNotPendingDeletion:
		text = " is not pending deletion."
	case isPendingImport:
		text = " is pending import."
	case isExternal:
		code, text = UnsupportedOperationException, " origin is EXTERNAL which is not valid for this operation."
	case isCreating:
		text = " is creating."
	case isUpdating:
		text = " is updating."
	case isUnavailable:
		text = " is unavailable."
	}
	return &Error{Code: code, Message: m.ARN + text, State: m.State}
}

// CheckUse tells whether the key can do op with symmetric encryption, as [CheckAlgorithm] does.
func CheckUse(op Operation, m KeyMetadata) error { return CheckAlgorithm(op, m, AlgorithmSymmetric) }

// CheckRotation tells whether the key can be rotated at all. Error: [UnsupportedOperationException].
func CheckRotation(op Operation, m KeyMetadata) error {
	switch {
	case m.Spec != SpecSymmetricDefault:
		return Errorf(UnsupportedOperationException, "%s key spec is %s which is not valid for %s.", m.ARN, m.Spec, op)
	case m.Origin != OriginAWSKMS:
		return Errorf(UnsupportedOperationException, "%s origin is %s which is not valid for this operation.", m.ARN, m.Origin)
	}
	return nil
}

// CheckImport tells whether the key takes imported material. Error: [UnsupportedOperationException].
func CheckImport(m KeyMetadata) error {
	if m.Origin != OriginExternal {
		return Errorf(UnsupportedOperationException, "%s origin is %s which is not valid for this operation.", m.ARN, m.Origin)
	}
	return nil
}
