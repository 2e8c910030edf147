// Package users keeps the users of the doors and their access keys: who may send S3 and KMS requests, and as whom. A user
// has one access key. Secrets are kept, not hashes of them, because a request signature is verified with the secret itself;
// each record is sealed and bound to its name, and a secret is in memory only while a request is verified.
//
// Record "user/NAME": [kms.Seal] with the label "kmsfs user v1" and the record's name as additional data, of the JSON object
// {"access_key_id":"AKIA...","secret":base64 of the 40 characters,"created":nanoseconds since 1970}.
package users
