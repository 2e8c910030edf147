package awskms

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"kmsfs/kms"
)

// credentialsError is that there are no credentials, or none that are valid.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

// credentials marks the errors of the SDK's chain of providers.
type credentials struct{ chain aws.CredentialsProvider }

// Retrieve is aws.CredentialsProvider's.
func (c credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	v, err := c.chain.Retrieve(ctx)
	if err != nil {
		return v, &credentialsError{err}
	}
	return v, nil
}

// refusal is an error of the SDK in this module's words. ctx is the caller's.
func (p *Provider) refusal(ctx context.Context, err error) error {
	var api smithy.APIError
	var missing *credentialsError
	var params smithy.InvalidParamsError
	var garbled *smithy.DeserializationError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err()
	case errors.As(err, &missing):
		return &kms.Error{Code: kms.KeyUnavailableException, Err: err,
			Message: "There are no AWS credentials for " + p.where + ". Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile that has them"}
	case errors.As(err, &api) && api.ErrorCode() != "UnknownError":
		return p.fromAPI(api, statusOf(err))
	case errors.As(err, &params):
		return &kms.Error{Code: kms.ValidationException, Message: params.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return &kms.Error{Code: kms.DependencyTimeoutException, Message: fmt.Sprintf("%s did not answer in time", p.where), Err: err}
	case statusOf(err) == http.StatusTooManyRequests:
		return &kms.Error{Code: kms.ThrottlingException, Message: p.where + " has too many requests", Err: err}
	case statusOf(err) >= http.StatusInternalServerError:
		return &kms.Error{Code: kms.KeyUnavailableException, Message: fmt.Sprintf("%s answers %d %s", p.where, statusOf(err), http.StatusText(statusOf(err))), Err: err}
	case errors.As(err, &garbled) || statusOf(err) != 0:
		return &kms.Error{Code: kms.KMSInternalException, Message: "The answer of " + p.where + " is not one of a key service", Err: err}
	}
	return &kms.Error{Code: kms.KeyUnavailableException, Message: p.where + " cannot be reached", Err: err}
}

// statusOf is the HTTP status of an answer, 0 where there was none.
func statusOf(err error) int {
	var answered interface{ HTTPStatusCode() int }
	if errors.As(err, &answered) {
		return answered.HTTPStatusCode()
	}
	return 0
}

// fromAPI is an exception that the key service answered.
func (p *Provider) fromAPI(api smithy.APIError, status int) error {
	e := &kms.Error{Code: codeOf(api.ErrorCode()), Message: api.ErrorMessage()}
	if !strings.HasPrefix(string(e.Code), strings.TrimSuffix(api.ErrorCode(), "Exception")) {
		e.Message = fmt.Sprintf("%s answers %s: %s", p.where, api.ErrorCode(), e.Message)
	}
	if e.Code == "" {
		e.Code = byStatus(status)
	}
	if e.Code == kms.KMSInvalidStateException {
		e.State = stateOf(e.Message)
	}
	if region, ok := strings.CutPrefix(e.Message, "Invalid arn "); ok && e.Code == kms.NotFoundException {
		e.Region = region
	}
	return e
}

// codeOf is the code of an exception's name. Some services leave out "Exception". It is "" for one that kms does not have.
func codeOf(name string) kms.Code {
	switch name {
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch", "ExpiredTokenException",
		"IncompleteSignature", "IncompleteSignatureException", "MissingAuthenticationToken", "MissingAuthenticationTokenException", "OptInRequired":
		return kms.AccessDeniedException // of this program's credentials
	case "UnknownOperationException", "SerializationException":
		return kms.UnsupportedOperationException
	case "TooManyRequestsException", "RequestLimitExceeded", "ThrottledException":
		return kms.ThrottlingException
	case "InternalFailure", "InternalServerError", "InternalServerException":
		return kms.KMSInternalException
	case "ServiceUnavailable", "ServiceUnavailableException":
		return kms.KeyUnavailableException
	case "ValidationError":
		return kms.ValidationException
	}
	for _, c := range []kms.Code{kms.Code(name), kms.Code(name + "Exception")} {
		if slices.Contains(kms.Codes, c) {
			return c
		}
	}
	return ""
}

func byStatus(status int) kms.Code {
	switch {
	case status == http.StatusTooManyRequests:
		return kms.ThrottlingException
	case status == http.StatusForbidden || status == http.StatusUnauthorized:
		return kms.AccessDeniedException
	case status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout:
		return kms.KeyUnavailableException
	}
	return kms.KMSInternalException
}

// stateOf reads the state of a key out of a KMSInvalidStateException's message, which is the only place that has it.
// Source: AWS KMS Developer Guide, "Key states of AWS KMS keys".
func stateOf(message string) kms.KeyState {
	for text, state := range map[string]kms.KeyState{
		" is pending deletion":         kms.StatePendingDeletion,
		" is pending import":           kms.StatePendingImport,
		" is pending replica deletion": kms.StatePendingReplicaDeletion,
		" is unavailable":              kms.StateUnavailable,
		" is creating":                 kms.StateCreating,
		" is updating":                 kms.StateUpdating,
	} {
		if strings.Contains(strings.ToLower(message), text) {
			return state
		}
	}
	return ""
}
