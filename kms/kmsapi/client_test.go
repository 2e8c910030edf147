package kmsapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"

	"kmsfs/kms"
	"kmsfs/kms/httpdoor"
)

// sdkClient is AWS's SDK for Go, as a program would set it up.
func (d *door) sdkClient() *sdk.Client {
	return sdk.New(sdk.Options{
		Region: kms.DefaultRegion, BaseEndpoint: aws.String(d.url), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(d.alice.AccessKeyID, string(d.alice.Secret), ""),
	})
}

func TestSDKKeyLife(t *testing.T) {
	ctx, c := context.Background(), newDoor(t).sdkClient()
	made, err := c.CreateKey(ctx, &sdk.CreateKeyInput{Description: aws.String("payroll")})
	require.NoError(t, err)
	m, id := made.KeyMetadata, made.KeyMetadata.KeyId
	require.Equal(t, "payroll", *m.Description)
	require.True(t, m.Enabled)
	require.Equal(t, types.KeyStateEnabled, m.KeyState)
	require.Equal(t, types.KeySpecSymmetricDefault, m.KeySpec)
	require.Equal(t, []types.EncryptionAlgorithmSpec{types.EncryptionAlgorithmSpecSymmetricDefault}, m.EncryptionAlgorithms)
	require.Equal(t, "arn:aws:kms:us-east-1:000000000000:key/"+*id, *m.Arn)
	require.Len(t, *m.CurrentKeyMaterialId, 64)
	require.NotZero(t, m.CreationDate)

	_, err = c.UpdateKeyDescription(ctx, &sdk.UpdateKeyDescriptionInput{KeyId: id, Description: aws.String("")})
	require.NoError(t, err)
	_, err = c.DisableKey(ctx, &sdk.DisableKeyInput{KeyId: id})
	require.NoError(t, err)
	_, err = c.GenerateDataKey(ctx, &sdk.GenerateDataKeyInput{KeyId: id, KeySpec: types.DataKeySpecAes256})
	require.Error(t, err)
	var disabled *types.DisabledException
	require.ErrorAs(t, err, &disabled)
	require.Equal(t, *m.Arn+" is disabled.", disabled.ErrorMessage())
	_, err = c.EnableKey(ctx, &sdk.EnableKeyInput{KeyId: id})
	require.NoError(t, err)

	gone, err := c.ScheduleKeyDeletion(ctx, &sdk.ScheduleKeyDeletionInput{KeyId: id, PendingWindowInDays: aws.Int32(7)})
	require.NoError(t, err)
	require.Equal(t, types.KeyStatePendingDeletion, gone.KeyState)
	require.EqualValues(t, 7, *gone.PendingWindowInDays)
	require.InDelta(t, 7*24, gone.DeletionDate.Sub(*m.CreationDate).Hours(), 1)
	back, err := c.CancelKeyDeletion(ctx, &sdk.CancelKeyDeletionInput{KeyId: id})
	require.NoError(t, err)
	require.Equal(t, *m.Arn, *back.KeyId)
	now, err := c.DescribeKey(ctx, &sdk.DescribeKeyInput{KeyId: m.Arn, GrantTokens: []string{"x"}})
	require.NoError(t, err)
	require.Equal(t, types.KeyStateDisabled, now.KeyMetadata.KeyState)
	require.Empty(t, *now.KeyMetadata.Description)
}

func TestSDKCrypto(t *testing.T) {
	ctx, c := context.Background(), newDoor(t).sdkClient()
	one, err := c.CreateKey(ctx, &sdk.CreateKeyInput{})
	require.NoError(t, err)
	two, err := c.CreateKey(ctx, &sdk.CreateKeyInput{MultiRegion: aws.Bool(true)})
	require.NoError(t, err)
	ec := map[string]string{"department": "hr", "a": "ä \u2028 <&>"}
	key, err := c.GenerateDataKey(ctx, &sdk.GenerateDataKeyInput{KeyId: one.KeyMetadata.KeyId, KeySpec: types.DataKeySpecAes256, EncryptionContext: ec})
	require.NoError(t, err)
	require.Len(t, key.Plaintext, 32)
	require.Equal(t, *one.KeyMetadata.CurrentKeyMaterialId, *key.KeyMaterialId)
	moved, err := c.ReEncrypt(ctx, &sdk.ReEncryptInput{CiphertextBlob: key.CiphertextBlob, SourceEncryptionContext: ec, DestinationKeyId: two.KeyMetadata.Arn})
	require.NoError(t, err)
	require.Equal(t, *one.KeyMetadata.Arn, *moved.SourceKeyId)
	require.Equal(t, *two.KeyMetadata.Arn, *moved.KeyId)
	open, err := c.Decrypt(ctx, &sdk.DecryptInput{CiphertextBlob: moved.CiphertextBlob})
	require.NoError(t, err)
	require.Equal(t, key.Plaintext, open.Plaintext)
	require.Equal(t, *two.KeyMetadata.Arn, *open.KeyId)
	_, err = c.Decrypt(ctx, &sdk.DecryptInput{CiphertextBlob: key.CiphertextBlob, EncryptionContext: map[string]string{"department": "hr"}})
	require.Error(t, err)
	var invalid *types.InvalidCiphertextException
	require.ErrorAs(t, err, &invalid)
	_, err = c.Encrypt(ctx, &sdk.EncryptInput{KeyId: one.KeyMetadata.KeyId, Plaintext: []byte("x"), DryRun: aws.Bool(true)})
	require.Error(t, err)
	var dry *types.DryRunOperationException
	require.ErrorAs(t, err, &dry)
	without, err := c.GenerateDataKeyWithoutPlaintext(ctx, &sdk.GenerateDataKeyWithoutPlaintextInput{KeyId: one.KeyMetadata.KeyId, NumberOfBytes: aws.Int32(64)})
	require.NoError(t, err)
	open, err = c.Decrypt(ctx, &sdk.DecryptInput{CiphertextBlob: without.CiphertextBlob})
	require.NoError(t, err)
	require.Len(t, open.Plaintext, 64)
	random, err := c.GenerateRandom(ctx, &sdk.GenerateRandomInput{NumberOfBytes: aws.Int32(1024)})
	require.NoError(t, err)
	require.Len(t, random.Plaintext, 1024)
}

func TestSDKPages(t *testing.T) {
	ctx, d := context.Background(), newDoor(t)
	c := d.sdkClient()
	var ids []string
	for range 7 {
		id, _ := d.key()
		ids = append(ids, id)
	}
	for i := range 7 {
		_, err := c.CreateAlias(ctx, &sdk.CreateAliasInput{AliasName: aws.String(fmt.Sprintf("alias/%d", i)), TargetKeyId: aws.String(ids[i%2])})
		require.NoError(t, err)
		_, err = c.RotateKeyOnDemand(ctx, &sdk.RotateKeyOnDemandInput{KeyId: aws.String(ids[0])})
		require.NoError(t, err)
	}
	var got []string
	sizes := []int{}
	keys := sdk.NewListKeysPaginator(c, &sdk.ListKeysInput{Limit: aws.Int32(3)})
	for keys.HasMorePages() {
		p, err := keys.NextPage(ctx)
		require.NoError(t, err)
		sizes = append(sizes, len(p.Keys))
		for _, k := range p.Keys {
			got = append(got, *k.KeyId)
			require.Equal(t, "arn:aws:kms:us-east-1:000000000000:key/"+*k.KeyId, *k.KeyArn)
		}
	}
	require.ElementsMatch(t, ids, got)
	require.Equal(t, []int{3, 3, 1}, sizes)

	names := map[string]string{}
	aliases := sdk.NewListAliasesPaginator(c, &sdk.ListAliasesInput{Limit: aws.Int32(3), KeyId: aws.String(ids[0])})
	for aliases.HasMorePages() {
		p, err := aliases.NextPage(ctx)
		require.NoError(t, err)
		for _, a := range p.Aliases {
			names[*a.AliasName] = *a.TargetKeyId
			require.NotZero(t, *a.CreationDate)
			require.NotZero(t, *a.LastUpdatedDate)
		}
	}
	require.Equal(t, map[string]string{"alias/0": ids[0], "alias/2": ids[0], "alias/4": ids[0], "alias/6": ids[0]}, names)

	for include, want := range map[types.IncludeKeyMaterial]int{types.IncludeKeyMaterialRotationsOnly: 7, types.IncludeKeyMaterialAllKeyMaterial: 8} {
		seen := map[string]bool{}
		rotations := sdk.NewListKeyRotationsPaginator(c, &sdk.ListKeyRotationsInput{Limit: aws.Int32(2), KeyId: aws.String(ids[0]), IncludeKeyMaterial: include})
		for rotations.HasMorePages() {
			p, err := rotations.NextPage(ctx)
			require.NoError(t, err)
			require.LessOrEqual(t, len(p.Rotations), 2)
			for _, r := range p.Rotations {
				seen[*r.KeyMaterialId] = true
				require.Equal(t, ids[0], *r.KeyId)
			}
		}
		require.Len(t, seen, want)
	}
}

// awscli runs the AWS command line against d.
type awscli struct {
	*door
	program, dir string
}

func newAWSCLI(t *testing.T) *awscli {
	t.Helper()
	program := "/usr/bin/aws" // Debian's, where there is one
	if _, err := os.Stat(program); err != nil {
		if program, err = exec.LookPath("aws"); err != nil && os.Getenv("KMSFS_TEST_NO_SKIP") == "" {
			t.Skip("there is no aws; install the package awscli")
		}
		require.NoError(t, err, "install the package awscli")
	}
	return &awscli{newDoor(t), program, t.TempDir()}
}

func (a *awscli) command(args ...string) *exec.Cmd {
	cmd := exec.Command(a.program, append([]string{"--endpoint-url", a.url, "--output", "json", "kms"}, args...)...)
	cmd.Dir = a.dir
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+a.alice.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+string(a.alice.Secret),
		"AWS_DEFAULT_REGION="+kms.DefaultRegion, "AWS_CONFIG_FILE="+filepath.Join(a.dir, "none"), "AWS_SHARED_CREDENTIALS_FILE="+filepath.Join(a.dir, "none"),
		"AWS_PAGER=", "AWS_EC2_METADATA_DISABLED=true", "NO_PROXY=127.0.0.1")
	return cmd
}

// run returns the answer of a command that has to succeed.
func (a *awscli) run(args ...string) map[string]any {
	a.t.Helper()
	out, err := a.command(args...).CombinedOutput()
	require.NoError(a.t, err, "%v: %s", args, out)
	if len(out) == 0 {
		return nil
	}
	var m map[string]any
	require.NoError(a.t, json.Unmarshal(out, &m), "%s", out)
	return m
}

// fails checks what a command that has to fail tells its user.
func (a *awscli) fails(want string, args ...string) {
	a.t.Helper()
	out, err := a.command(args...).CombinedOutput()
	require.Error(a.t, err, "%v: %s", args, out)
	require.Contains(a.t, string(out), want)
}

func (a *awscli) blob(name string, m map[string]any, member string) string {
	a.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(m[member].(string))
	require.NoError(a.t, err)
	require.NoError(a.t, os.WriteFile(filepath.Join(a.dir, name), raw, 0o600))
	return "fileb://" + name
}

func TestAWSCLI(t *testing.T) {
	a := newAWSCLI(t)
	m := a.run("create-key", "--description", "payroll")["KeyMetadata"].(map[string]any)
	id, arn := m["KeyId"].(string), m["Arn"].(string)
	require.Empty(t, a.run("create-alias", "--alias-name", "alias/hr", "--target-key-id", id))
	a.run("create-alias", "--alias-name", "alias/old", "--target-key-id", id)
	require.Len(t, a.run("list-keys", "--page-size", "1")["Keys"], 1)
	require.Len(t, a.run("list-aliases", "--page-size", "1")["Aliases"], 2, "the CLI follows NextMarker")

	key := a.run("generate-data-key", "--key-id", "alias/hr", "--key-spec", "AES_256", "--encryption-context", "department=hr,project=pay")
	require.Equal(t, arn, key["KeyId"])
	blob := a.blob("key", key, "CiphertextBlob")
	open := a.run("decrypt", "--ciphertext-blob", blob, "--encryption-context", "project=pay,department=hr") // reordered
	require.Equal(t, key["Plaintext"], open["Plaintext"])
	denied := "An error occurred (InvalidCiphertextException) when calling the Decrypt operation"
	a.fails(denied, "decrypt", "--ciphertext-blob", blob, "--encryption-context", "department=it,project=pay") // wrong
	a.fails(denied, "decrypt", "--ciphertext-blob", blob)                                                      // missing

	// the blob is as good after a rotation, and after it went to another key
	require.Equal(t, arn, a.call("RotateKeyOnDemand", `{"KeyId":"`+id+`"}`)["KeyId"]) // Debian's CLI is older than this
	require.Equal(t, key["Plaintext"], a.run("decrypt", "--ciphertext-blob", blob, "--encryption-context", "department=hr,project=pay")["Plaintext"])
	archive := a.run("create-key")["KeyMetadata"].(map[string]any)["Arn"].(string)
	moved := a.run("re-encrypt", "--ciphertext-blob", blob, "--source-encryption-context", "department=hr,project=pay", "--destination-key-id", archive,
		"--destination-encryption-context", "year=2026")
	require.Equal(t, arn, moved["SourceKeyId"])
	require.Equal(t, archive, moved["KeyId"])
	require.Equal(t, key["Plaintext"], a.run("decrypt", "--ciphertext-blob", a.blob("moved", moved, "CiphertextBlob"), "--encryption-context", "year=2026")["Plaintext"])

	secret := a.run("encrypt", "--key-id", id, "--plaintext", "c2VjcmV0", "--cli-binary-format", "base64")
	a.run("disable-key", "--key-id", id)
	a.fails("An error occurred (DisabledException) when calling the GenerateDataKey operation: "+arn+" is disabled.", "generate-data-key", "--key-id", "alias/hr", "--key-spec", "AES_256")
	a.run("enable-key", "--key-id", id)
	require.Equal(t, "c2VjcmV0", a.run("decrypt", "--ciphertext-blob", a.blob("secret", secret, "CiphertextBlob"))["Plaintext"])

	gone := a.run("schedule-key-deletion", "--key-id", id, "--pending-window-in-days", "7")
	require.Equal(t, "PendingDeletion", gone["KeyState"])
	a.fails("(KMSInvalidStateException) when calling the Encrypt operation: "+arn+" is pending deletion.", "encrypt", "--key-id", id, "--plaintext", "c2VjcmV0")
	require.Equal(t, arn, a.run("cancel-key-deletion", "--key-id", id)["KeyId"])
	a.run("delete-alias", "--alias-name", "alias/old")

	a.alice.Secret = []byte(strings.Repeat("x", 40))
	a.fails("(InvalidSignatureException) when calling the ListKeys operation: The request signature we calculated does not match the signature you provided.", "list-keys")
	a.alice.AccessKeyID = "AKIAAAAAAAAAAAAAAAAA"
	a.fails("(UnrecognizedClientException) when calling the ListKeys operation: The security token included in the request is invalid.", "list-keys")
}

// TestBoto3 is Python's SDK, over TLS, with what Debian's aws-cli does not have.
func TestBoto3(t *testing.T) {
	const python = "/usr/bin/python3" // Debian's; another one has other packages
	err := exec.Command(python, "-c", "import boto3").Run()
	if err != nil && os.Getenv("KMSFS_TEST_NO_SKIP") == "" {
		t.Skip("there is no boto3; install the package python3-boto3")
	}
	require.NoError(t, err, "install the package python3-boto3")
	certs := httpdoor.OpenCertificates(t.TempDir(), nil)
	d := newDoorWith(t, httpdoor.Options{Certificates: certs}, nil)
	cmd := exec.Command(python, "../../testdata/kms/boto3_client.py", d.url)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+d.alice.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+string(d.alice.Secret),
		"AWS_DEFAULT_REGION="+kms.DefaultRegion, "AWS_CA_BUNDLE="+certs.CAFile(), "NO_PROXY=127.0.0.1", "AWS_EC2_METADATA_DISABLED=true")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "done\n", string(out))
}

// TestJavaScript is AWS's SDK for JavaScript, which takes everything from the environment.
func TestJavaScript(t *testing.T) {
	const dir = "../../testdata/js"
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(dir, "node_modules"))
	}
	if err != nil && os.Getenv("KMSFS_TEST_NO_SKIP") == "" {
		t.Skip("there is no node, or no SDK for it; run sh testdata/tools.sh")
	}
	require.NoError(t, err, "run sh testdata/tools.sh")
	d := newDoor(t)
	cmd := exec.Command(node, "client.mjs")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+d.alice.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+string(d.alice.Secret),
		"AWS_REGION="+kms.DefaultRegion, "AWS_ENDPOINT_URL_KMS="+d.url, "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"NO_PROXY=127.0.0.1", "AWS_EC2_METADATA_DISABLED=true")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Equal(t, "done\n", string(out))
	events := d.audit.Events()
	require.Contains(t, events[0].Caller.UserAgent, "aws-sdk-js/3.")
}
