package kms

import (
	"strconv"
	"strings"
	"time"
)

// auditVersion is the eventVersion of CloudTrail whose fields a record has.
const auditVersion = "1.11"

// recordFacts is what a record has beside its event.
type recordFacts struct {
	names              Namer
	eventID, requestID [16]byte
	command            string
}

// appendRecord appends e as a record of CloudTrail, open at its end: kmsfs's own facts are the last object, and the chain
// closes it. Bytes of a path that are not UTF-8 become U+FFFD. FORMAT.md has the fields.
func (e *Event) appendRecord(b []byte, f *recordFacts) []byte {
	b = append(b, `{"eventVersion":"`+auditVersion+`","userIdentity":`...)
	b = e.Caller.appendIdentity(b, e.Object == nil)
	b = append(b, `,"eventTime":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339)
	b = append(b, e.source()...)
	b = appendField(b, "eventName", string(e.Operation))
	b = appendField(b, "awsRegion", f.names.Region)
	b = appendField(b, "sourceIPAddress", either(e.Caller.SourceIP, "AWS Internal"))
	b = appendField(b, "userAgent", either(e.Caller.UserAgent, "AWS Internal"))
	b = appendField(b, "errorCode", string(e.Code))
	b = appendField(b, "errorMessage", e.Message)
	b = append(b, `,"requestParameters":`...)
	b = e.appendParameters(b)
	b = append(b, `,"responseElements":`...)
	b = e.appendResponse(b)
	b = append(b, `,"requestID":"`...)
	b = appendUUID(b, f.requestID)
	b = append(b, `","eventID":"`...)
	b = appendUUID(b, f.eventID)
	b = append(b, `","readOnly":`...)
	b = strconv.AppendBool(b, e.Operation.readOnly())
	b = e.appendResources(b, f.names.Account)
	b = appendField(b, "eventType", e.Operation.eventType())
	b = append(b, `,"managementEvent":`...)
	b = strconv.AppendBool(b, e.Object == nil)
	b = appendField(b, "recipientAccountId", f.names.Account)
	b = e.appendCategory(b)
	b = append(b, `"kmsfs":{"time":"`...)
	b = e.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	return e.Caller.appendFacts(b, f)
}

// source ends the time and names the service.
func (e *Event) source() string {
	if e.Object != nil {
		return `","eventSource":"s3.amazonaws.com"`
	}
	return `","eventSource":"kms.amazonaws.com"`
}

func (e *Event) appendResponse(b []byte) []byte {
	if e.Object != nil && e.Code == "" {
		return e.Object.appendResponse(b)
	}
	return append(b, "null"...)
}

// appendCategory appends the category and begins additionalEventData.
func (e *Event) appendCategory(b []byte) []byte {
	if e.Object == nil {
		return append(b, `,"eventCategory":"Management","additionalEventData":{`...)
	}
	return e.Object.appendAdditional(append(b, `,"eventCategory":"Data","additionalEventData":{`...))
}

// appendIdentity appends the userIdentity of CloudTrail. There is no principalId: kmsfs's users have a name only. internal
// is for what S3 does in its user's name.
func (c *Caller) appendIdentity(b []byte, internal bool) []byte {
	kind, name := "Unknown", ""
	account, rest, _ := splitARN(c.Principal)
	switch {
	case rest == "root":
		kind = "Root"
	case strings.HasPrefix(rest, "user/"):
		kind, name = "IAMUser", rest[strings.LastIndexByte(rest, '/')+1:]
	case strings.HasPrefix(rest, "assumed-role/"):
		kind = "AssumedRole"
	}
	b = append(append(b, `{"type":"`...), kind...)
	b = append(b, '"')
	b = appendField(b, "arn", c.Principal)
	b = appendField(b, "accountId", account)
	b = appendField(b, "userName", name)
	if internal && (c.Via == "mount" || c.Via == "s3") {
		b = appendField(b, "invokedBy", "AWS Internal")
	}
	return append(b, '}')
}

func (c *Caller) appendFacts(b []byte, f *recordFacts) []byte {
	b = append(b, `,"uid":`...)
	b = strconv.AppendUint(b, uint64(c.UID), 10)
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(c.PID), 10)
	b = appendField(b, "command", f.command)
	b = appendField(b, "via", c.Via)
	return appendField(b, "path", c.Path)
}

// appendParameters appends what CloudTrail shows of a request. Never plaintext, ciphertext or key bytes.
func (e *Event) appendParameters(b []byte) []byte {
	if e.Object != nil {
		return e.Object.appendParameters(b)
	}
	start := len(b)
	switch e.Operation {
	case OpReEncrypt:
		b = appendField(b, "sourceKeyId", e.SourceKeyARN)
		b = appendContextField(b, "sourceEncryptionContext", e.SourceContext)
		b = appendField(b, "sourceEncryptionAlgorithm", AlgorithmSymmetric)
		b = appendField(b, "destinationKeyId", e.KeyARN)
		b = appendContextField(b, "destinationEncryptionContext", e.Context)
		b = appendField(b, "destinationEncryptionAlgorithm", AlgorithmSymmetric)
	case OpCreateAlias, OpUpdateAlias, OpDeleteAlias:
		b = appendField(b, "aliasName", e.Alias)
		if e.Operation != OpDeleteAlias {
			b = appendField(b, "targetKeyId", e.KeyARN)
		}
	case OpCreateKey: // the key is what came out
	default:
		b = appendField(b, "keyId", e.KeyARN)
		b = e.appendUse(b)
		b = appendContextField(b, "encryptionContext", e.Context)
	}
	if len(b) == start {
		return append(b, "null"...)
	}
	b[start] = '{' // in place of the first comma
	return append(b, '}')
}

// appendUse appends how a key was used.
func (e *Event) appendUse(b []byte) []byte {
	switch e.Operation {
	case OpGenerateDataKey, OpGenerateWithoutPlaintext:
		if e.Bytes == KeySize {
			return appendField(b, "keySpec", "AES_256")
		}
		return appendCount(b, "numberOfBytes", e.Bytes)
	case OpGenerateDataKeyPair, OpGenerateDataKeyPairWithoutPlaintext:
		return appendField(b, "keyPairSpec", e.Algorithm)
	case OpEncrypt, OpDecrypt:
		return appendField(b, "encryptionAlgorithm", either(e.Algorithm, AlgorithmSymmetric))
	case OpSign, OpVerify:
		return appendField(b, "signingAlgorithm", e.Algorithm)
	case OpGenerateMac, OpVerifyMac:
		return appendField(b, "macAlgorithm", e.Algorithm)
	}
	return b
}

func (e *Event) appendResources(b []byte, account string) []byte {
	if e.Object != nil {
		return e.Object.appendResources(b, account)
	}
	start := len(b)
	for i, arn := range [2]string{e.SourceKeyARN, e.KeyARN} {
		owner, resource, ok := splitARN(arn)
		if !ok || (i == 0 && arn == e.KeyARN) { // a key that is source and destination is named once
			continue
		}
		kind := "AWS::KMS::Key"
		if strings.HasPrefix(resource, "alias/") {
			kind = "AWS::KMS::Alias"
		}
		if len(b) == start {
			b = append(b, `,"resources":[{"accountId":`...)
		} else {
			b = append(b, `,{"accountId":`...)
		}
		b = appendJSONString(b, owner)
		b = appendField(b, "type", kind)
		b = append(appendField(b, "ARN", arn), '}')
	}
	if len(b) == start {
		return b
	}
	return append(b, ']')
}

// splitARN is the account and what follows it: arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE.
func splitARN(arn string) (account, resource string, ok bool) {
	for range 4 {
		if _, arn, ok = strings.Cut(arn, ":"); !ok {
			return "", "", false
		}
	}
	if account, resource, ok = strings.Cut(arn, ":"); !ok {
		return "", "", false
	}
	return account, resource, true
}

// eventType is CloudTrail's: whether somebody asked for it.
func (op Operation) eventType() string {
	if op == OpDeleteKey {
		return "AwsServiceEvent"
	}
	return "AwsApiCall"
}

// readOnly is CloudTrail's view: whether an operation changes a key.
func (op Operation) readOnly() bool {
	switch op {
	case OpEncrypt, OpDecrypt, OpReEncrypt, OpSign, OpVerify, OpVerifyMac:
		return true
	}
	for _, verb := range []string{"Get", "List", "Describe", "Generate"} {
		if strings.HasPrefix(string(op), verb) {
			return true
		}
	}
	return false
}

// appendUUID appends random bytes as a UUID of version 4.
func appendUUID(b []byte, id [16]byte) []byte {
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	for i, c := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, hexDigits[c>>4], hexDigits[c&15])
	}
	return b
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return appendJSONString(b, value)
}

// appendCount appends a number that is not 0.
func appendCount(b []byte, name string, n int) []byte {
	if n == 0 {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return strconv.AppendInt(b, int64(n), 10)
}

func appendContextField(b []byte, name string, c Context) []byte {
	if len(c) == 0 {
		return b
	}
	b = append(append(append(b, ',', '"'), name...), '"', ':')
	return c.appendJSON(b)
}
