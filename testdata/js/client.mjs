// Uses the KMS door with AWS's SDK for JavaScript as a program would: all settings are the environment's. Prints "done" when all
// is as with AWS.
import assert from "node:assert/strict";
import { createPublicKey, verify, createHash } from "node:crypto";
import * as sdk from "@aws-sdk/client-kms";

const kms = new sdk.KMS({ maxAttempts: 1 });

async function refused(name, promise) {
  try {
    await promise;
  } catch (e) {
    assert.equal(e.name, name, e);
    assert.ok(e.$metadata.requestId, "no request id");
    return e;
  }
  assert.fail(`it was not refused with ${name}`);
}

const { KeyMetadata: key } = await kms.createKey({ Description: "js", Tags: [{ TagKey: "team", TagValue: "hr" }] });
assert.ok(key.CreationDate.getFullYear() >= 2024);
assert.equal(key.KeyState, "Enabled");
const KeyId = key.Arn;
for (let n = 0; n < 5; n++) await kms.createAlias({ AliasName: `alias/${n}`, TargetKeyId: key.KeyId });
const sizes = [];
for await (const page of sdk.paginateListAliases({ client: kms, pageSize: 2 }, { KeyId })) sizes.push(page.Aliases.length);
assert.deepEqual(sizes, [2, 2, 1]);

// a data key opens with its context in any order, and with no other
const context = { department: "hr", project: "pay \u2028 <&>" };
const data = await kms.generateDataKey({ KeyId: "alias/3", KeySpec: "AES_256", EncryptionContext: context });
assert.equal(data.Plaintext.length, 32);
assert.equal(data.KeyId, KeyId);
const reordered = { project: context.project, department: context.department };
const open = await kms.decrypt({ CiphertextBlob: data.CiphertextBlob, EncryptionContext: reordered });
assert.deepEqual(open.Plaintext, data.Plaintext);
const wrong = await refused("InvalidCiphertextException", kms.decrypt({ CiphertextBlob: data.CiphertextBlob }));
assert.ok(wrong instanceof sdk.InvalidCiphertextException);
await refused("DryRunOperationException", kms.decrypt({ CiphertextBlob: data.CiphertextBlob, EncryptionContext: context, DryRun: true }));
const other = (await kms.createKey({})).KeyMetadata.Arn;
const moved = await kms.reEncrypt({ CiphertextBlob: data.CiphertextBlob, SourceEncryptionContext: context, DestinationKeyId: other });
assert.equal(moved.SourceKeyId, KeyId);
assert.deepEqual((await kms.decrypt({ CiphertextBlob: moved.CiphertextBlob })).Plaintext, data.Plaintext);

// rotation: what was made before opens
await kms.rotateKeyOnDemand({ KeyId });
assert.equal((await kms.listKeyRotations({ KeyId })).Rotations.length, 1);
assert.deepEqual((await kms.decrypt({ CiphertextBlob: data.CiphertextBlob, EncryptionContext: context })).Plaintext, data.Plaintext);

// signatures, as Node's own cryptography sees them; MACs; key pairs
const message = new TextEncoder().encode("hello");
const signer = (await kms.createKey({ KeySpec: "ECC_NIST_P256", KeyUsage: "SIGN_VERIFY" })).KeyMetadata.Arn;
const signed = await kms.sign({ KeyId: signer, Message: message, SigningAlgorithm: "ECDSA_SHA_256" });
const spki = createPublicKey({ key: Buffer.from((await kms.getPublicKey({ KeyId: signer })).PublicKey), format: "der", type: "spki" });
assert.ok(verify("sha256", message, spki, signed.Signature));
const digest = createHash("sha256").update("bye").digest();
await refused("KMSInvalidSignatureException",
  kms.verify({ KeyId: signer, Message: digest, MessageType: "DIGEST", SigningAlgorithm: "ECDSA_SHA_256", Signature: signed.Signature }));
const hmac = (await kms.createKey({ KeySpec: "HMAC_256", KeyUsage: "GENERATE_VERIFY_MAC" })).KeyMetadata.Arn;
const { Mac } = await kms.generateMac({ KeyId: hmac, Message: message, MacAlgorithm: "HMAC_SHA_256" });
assert.ok((await kms.verifyMac({ KeyId: hmac, Message: message, MacAlgorithm: "HMAC_SHA_256", Mac })).MacValid);
const pair = await kms.generateDataKeyPair({ KeyId, KeyPairSpec: "ECC_NIST_P256" });
assert.deepEqual((await kms.decrypt({ CiphertextBlob: pair.PrivateKeyCiphertextBlob })).Plaintext, pair.PrivateKeyPlaintext);

// policies, grants, states, errors
const { Policy } = await kms.getKeyPolicy({ KeyId });
assert.equal(JSON.parse(Policy).Id, "key-default-1");
await kms.putKeyPolicy({ KeyId, Policy });
await refused("MalformedPolicyDocumentException", kms.putKeyPolicy({ KeyId, Policy: "{}" }));
const grant = await kms.createGrant({ KeyId, GranteePrincipal: "arn:aws:iam::000000000000:user/bob", Operations: ["Decrypt"] });
assert.equal((await kms.listGrants({ KeyId })).Grants[0].GrantId, grant.GrantId);
await kms.revokeGrant({ KeyId, GrantId: grant.GrantId });
await kms.disableKey({ KeyId });
assert.equal((await refused("DisabledException", kms.encrypt({ KeyId, Plaintext: message }))).message, `${KeyId} is disabled.`);
await kms.scheduleKeyDeletion({ KeyId, PendingWindowInDays: 7 });
assert.ok((await kms.describeKey({ KeyId })).KeyMetadata.DeletionDate > key.CreationDate);
await kms.cancelKeyDeletion({ KeyId });
await refused("NotFoundException", kms.describeKey({ KeyId: "alias/none" }));
console.log("done");
