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
)

// verdicts is a row: Enabled, Disabled, PendingDeletion, PendingImport, Creating, Updating.
type verdicts [6]verdict

// row is the table of AWS KMS Developer Guide, "Key states of AWS KMS keys".
func row(op Operation) verdicts {
	switch op {
	case OpEncrypt, OpDecrypt, OpReEncrypt, OpGenerateDataKey, OpGenerateWithoutPlaintext:
		return verdicts{allowed, isDisabled, isPendingDeletion, isPendingImport, isCreating, allowed}
	case OpEnableKey, OpDisableKey:
		return verdicts{allowed, allowed, isPendingDeletion, isPendingImport, isCreating, isUpdating}
	case OpCreateAlias, OpUpdateAlias, OpUpdateKeyDescription:
		return verdicts{allowed, allowed, isPendingDeletion, allowed, allowed, allowed}
	case OpScheduleKeyDeletion:
		return verdicts{allowed, allowed, isPendingDeletion, allowed, allowed, isUpdating}
	case OpCancelKeyDeletion:
		return verdicts{isNotPendingDeletion, isNotPendingDeletion, allowed, isNotPendingDeletion, isNotPendingDeletion, isNotPendingDeletion}
	case OpRotateKeyOnDemand:
		return verdicts{allowed, isDisabled, isPendingDeletion, isExternal, isCreating, allowed}
	}
	return verdicts{} // DescribeKey, DeleteAlias, lists: in every state
}

func column(s KeyState) int {
	switch s {
	case StateEnabled:
		return 0
	case StateDisabled:
		return 1
	case StatePendingDeletion:
		return 2
	case StatePendingImport:
		return 3
	case StateCreating:
		return 4
	}
	return 5
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
	}
	return &Error{Code: code, Message: m.ARN + text, State: m.State}
}

// CheckUse tells whether the key can do op with symmetric encryption: its usage, its spec, then its state.
// Errors: [InvalidKeyUsageException], [DisabledException], [KMSInvalidStateException].
func CheckUse(op Operation, m KeyMetadata) error {
	if m.Usage != UsageEncryptDecrypt {
		return Errorf(InvalidKeyUsageException, "%s key usage is %s which is not valid for %s.", m.ARN, m.Usage, op)
	}
	if m.Spec != SpecSymmetricDefault {
		return Errorf(InvalidKeyUsageException, "Algorithm SYMMETRIC_DEFAULT is incompatible with key spec %s.", m.Spec)
	}
	return CheckState(op, m)
}
