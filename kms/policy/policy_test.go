package policy_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"kmsfs/kms/policy"
)

const (
	account = "000000000000"
	root    = "arn:aws:iam::000000000000:root"
	alice   = "arn:aws:iam::000000000000:user/alice"
	bob     = "arn:aws:iam::000000000000:user/bob"
	foreign = "arn:aws:iam::111111111111:user/alice"
	key     = "arn:aws:kms:us-east-1:000000000000:key/134f2428-cec1-4b25-a1ae-9048164dba47"
	viaS3   = "s3.us-east-1.amazonaws.com"
)

func parse(t testing.TB, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse(text)
	require.NoError(t, err, text)
	return p
}

// statements makes a policy of statements, each the inside of an object; Resource is added.
func statements(inside ...string) string {
	for i := range inside {
		inside[i] = "{" + inside[i] + `,"Resource":"*"}`
	}
	return `{"Version":"2012-10-17","Statement":[` + strings.Join(inside, ",") + "]}"
}

func TestDefaultPolicy(t *testing.T) {
	p := parse(t, policy.Default(account))
	for principal, want := range map[string]policy.Effect{root: policy.Allow, alice: policy.Allow, foreign: policy.None, "": policy.None} {
		for _, action := range []string{"Decrypt", "PutKeyPolicy", "ScheduleKeyDeletion"} {
			require.Equal(t, want, p.Decide(&policy.Request{Principal: principal, Action: action, Resource: key}), principal)
		}
	}
}

func TestManagedPolicy(t *testing.T) {
	p := parse(t, policy.ManagedS3(account, "us-east-1"))
	for _, c := range []struct {
		principal, action, via string
		want                   policy.Effect
	}{
		{alice, "Decrypt", viaS3, policy.Allow},
		{alice, "GenerateDataKeyWithoutPlaintext", viaS3, policy.Allow},
		{alice, "ReEncryptTo", viaS3, policy.Allow},
		{root, "Decrypt", viaS3, policy.Allow},
		{alice, "Decrypt", "", policy.None},
		{root, "Decrypt", "", policy.None},
		{alice, "Decrypt", "s3.us-west-2.amazonaws.com", policy.None},
		{foreign, "Decrypt", viaS3, policy.None},
		{alice, "DescribeKey", "", policy.Allow},
		{alice, "GetKeyPolicy", "", policy.Allow},
		{root, "PutKeyPolicy", "", policy.None},
		{root, "DisableKey", viaS3, policy.None},
	} {
		got := p.Decide(&policy.Request{Principal: c.principal, Action: c.action, Resource: key, ViaService: c.via})
		require.Equal(t, c.want, got, "%+v", c)
	}
}

func TestPrincipals(t *testing.T) {
	for element, who := range map[string]string{
		`"*"`:                                               "root alice bob foreign",
		`{"AWS":"*"}`:                                       "root alice bob foreign",
		`{"AWS":"000000000000"}`:                            "root alice bob",
		`{"AWS":"` + root + `"}`:                            "root alice bob",
		`{"AWS":["` + alice + `"]}`:                         "alice",
		`{"AWS":["` + foreign + `"]}`:                       "foreign",
		`{"AWS":["` + alice + `","111111111111"]}`:          "alice foreign",
		`{"Service":"logs.amazonaws.com"}`:                  "",
		`{"Service":"x.amazonaws.com","AWS":"` + bob + `"}`: "bob",
		`{"AWS":"arn:aws:sts::000000000000:assumed-role/alice:root/x"}`: "",
	} {
		for effect, want := range map[string]policy.Effect{"Allow": policy.Allow, "Deny": policy.Deny} {
			p := parse(t, statements(`"Effect":"`+effect+`","Action":"kms:*","Principal":`+element))
			for name, arn := range map[string]string{"root": root, "alice": alice, "bob": bob, "foreign": foreign} {
				expect := policy.None
				if strings.Contains(" "+who+" ", " "+name+" ") {
					expect = want
				}
				require.Equal(t, expect, p.Decide(&policy.Request{Principal: arn, Action: "Decrypt", Resource: key}), "%s %s", element, name)
			}
		}
	}
}

func TestActions(t *testing.T) {
	for element, allowed := range map[string]string{
		`"Action":"kms:*"`:                             "Decrypt GetKeyPolicy ReEncryptTo GenerateDataKey Encrypt",
		`"Action":"*"`:                                 "Decrypt GetKeyPolicy ReEncryptTo GenerateDataKey Encrypt",
		`"Action":"KMS:decrypt"`:                       "Decrypt",
		`"Action":["kms:Get*","kms:ReEncrypt*"]`:       "GetKeyPolicy ReEncryptTo",
		`"Action":"kms:?ncrypt"`:                       "Encrypt",
		`"NotAction":"kms:*crypt"`:                     "GetKeyPolicy ReEncryptTo GenerateDataKey",
		`"NotAction":["kms:Get*","kms:GenerateData*"]`: "Decrypt ReEncryptTo Encrypt",
	} {
		p := parse(t, statements(`"Effect":"Allow","Principal":"*",`+element))
		for action := range strings.SplitSeq("Decrypt GetKeyPolicy ReEncryptTo GenerateDataKey Encrypt", " ") {
			want := policy.None
			if strings.Contains(" "+allowed+" ", " "+action+" ") {
				want = policy.Allow
			}
			require.Equal(t, want, p.Decide(&policy.Request{Principal: alice, Action: action, Resource: key}), "%s %s", element, action)
		}
	}
}

func TestResources(t *testing.T) {
	for resource, want := range map[string]policy.Effect{
		`"*"`:           policy.Allow,
		`"` + key + `"`: policy.Allow,
		`["arn:aws:kms:us-east-1:000000000000:key/0","` + key + `"]`: policy.Allow,
		`"arn:aws:kms:*:000000000000:key/*"`:                         policy.Allow,
		`"arn:aws:kms:us-east-1:000000000000:key/0"`:                 policy.None,
		`"arn:aws:kms:*:key/*"`:                                      policy.None,
		`"arn:aws:s3:::*"`:                                           policy.None,
	} {
		text := `{"Statement":{"Effect":"Allow","Principal":"*","Action":"kms:*","Resource":` + resource + `}}`
		if resource == `"arn:aws:kms:*:key/*"` { // too few parts to be an ARN
			_, err := policy.Parse(text)
			require.Error(t, err)
			continue
		}
		require.Equal(t, want, parse(t, text).Decide(&policy.Request{Principal: alice, Action: "Decrypt", Resource: key}), resource)
	}
}

func TestDenyOutweighsAllow(t *testing.T) {
	allow := `"Effect":"Allow","Principal":"*","Action":"kms:*"`
	deny := `"Effect":"Deny","Principal":{"AWS":"` + bob + `"},"Action":"kms:Decrypt"`
	for _, text := range []string{statements(allow, deny), statements(deny, allow)} {
		p := parse(t, text)
		require.Equal(t, policy.Deny, p.Decide(&policy.Request{Principal: bob, Action: "Decrypt", Resource: key}))
		require.Equal(t, policy.Allow, p.Decide(&policy.Request{Principal: bob, Action: "Encrypt", Resource: key}))
		require.Equal(t, policy.Allow, p.Decide(&policy.Request{Principal: alice, Action: "Decrypt", Resource: key}))
	}
}

// TestConditions: each condition against a request that has it and one that has not.
func TestConditions(t *testing.T) {
	full := policy.Request{
		Principal: alice, Action: "Decrypt", Resource: key, ViaService: viaS3,
		Context: map[string]string{"Department": "hr", "aws:s3:arn": "arn:aws:s3:::bucket/hr/payroll.csv"},
		KeySpec: "SYMMETRIC_DEFAULT", KeyUsage: "ENCRYPT_DECRYPT", KeyOrigin: "AWS_KMS", RequestAlias: "alias/hr",
		GrantOperations: []string{"Decrypt", "Encrypt"},
		Aliases:         func() []string { return []string{"alias/a", "alias/b"} },
		Extra: map[string]string{"kms:granteeprincipal": bob, "kms:grantisforawsresource": "false", "kms:reencryptonsamekey": "true",
			"kms:rotationperiodindays": "180"},
	}
	for _, c := range []struct {
		condition  string
		full, bare bool
	}{
		{`"StringEquals":{"kms:EncryptionContext:department":"hr"}`, true, false},
		{`"StringEquals":{"KMS:encryptioncontext:DEPARTMENT":["it","hr"]}`, true, false},
		{`"StringEquals":{"kms:EncryptionContext:department":"HR"}`, false, false},
		{`"StringEqualsIgnoreCase":{"kms:EncryptionContext:department":"HR"}`, true, false},
		{`"StringEqualsIfExists":{"kms:EncryptionContext:department":"it"}`, false, true},
		{`"StringNotEquals":{"kms:EncryptionContext:department":["it","sales"]}`, true, true},
		{`"StringNotEquals":{"kms:EncryptionContext:department":["it","hr"]}`, false, true},
		{`"StringNotEqualsIgnoreCase":{"kms:EncryptionContext:department":"HR"}`, false, true},
		{`"StringLike":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::bucket/*"}`, true, false},
		{`"StringLike":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::bucket2/*"}`, false, false},
		{`"StringNotLike":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::bucket/*"}`, false, true},
		{`"ArnLike":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::bucket/hr/*"}`, true, false},
		{`"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::*:user/alice"}`, true, true},
		{`"ArnNotLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/b*"}`, true, true},
		{`"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["Department","aws:s3:arn"]}`, true, true},
		{`"ForAllValues:StringEquals":{"kms:EncryptionContextKeys":["Department"]}`, false, true},
		{`"ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":["Department","x"]}`, true, false},
		{`"ForAnyValue:StringEquals":{"kms:EncryptionContextKeys":"department"}`, false, false},
		{`"ForAllValues:StringNotEquals":{"kms:EncryptionContextKeys":"x"}`, true, true},
		{`"ForAllValues:StringNotEquals":{"kms:EncryptionContextKeys":"Department"}`, false, true},
		{`"ForAnyValue:StringNotEquals":{"kms:EncryptionContextKeys":"Department"}`, true, false},
		{`"Null":{"kms:EncryptionContext:department":"false"}`, true, false},
		{`"Null":{"kms:EncryptionContext:department":true}`, false, true},
		{`"Null":{"kms:EncryptionContextKeys":"true"}`, false, true},
		{`"StringEquals":{"kms:ViaService":"s3.us-east-1.amazonaws.com"}`, true, false},
		{`"Bool":{"aws:ViaAWSService":"true"}`, true, false},
		{`"Bool":{"aws:ViaAWSService":false}`, false, true},
		{`"StringEquals":{"kms:CallerAccount":"000000000000"}`, true, true},
		{`"StringEquals":{"aws:username":"alice","aws:PrincipalType":"User"}`, true, true},
		{`"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT","kms:KeyUsage":"ENCRYPT_DECRYPT","kms:KeyOrigin":"AWS_KMS"}`, true, false},
		{`"StringEquals":{"kms:KeySpec":"SYMMETRIC_DEFAULT","kms:KeyUsage":"SIGN_VERIFY"}`, false, false},
		{`"StringEquals":{"kms:RequestAlias":"alias/hr"}`, true, false},
		{`"ForAnyValue:StringLike":{"kms:ResourceAliases":"alias/*"}`, true, false},
		{`"StringEquals":{"kms:GranteePrincipal":"` + bob + `"}`, true, false},
		{`"Bool":{"kms:GrantIsForAWSResource":"true"}`, false, false},
		{`"Bool":{"kms:ReEncryptOnSameKey":"true"}`, true, false},
		{`"BoolIfExists":{"kms:ReEncryptOnSameKey":"true"}`, true, true},
		{`"ForAllValues:StringEquals":{"kms:GrantOperations":["Decrypt"]}`, false, true},
		{`"NumericLessThanEquals":{"kms:RotationPeriodInDays":"180"}`, true, false},
		{`"NumericGreaterThan":{"kms:RotationPeriodInDays":180}`, false, false},
		{`"NumericNotEquals":{"kms:RotationPeriodInDays":1}`, true, true},
	} {
		p := parse(t, statements(`"Effect":"Allow","Principal":"*","Action":"kms:*","Condition":{`+c.condition+`}`))
		require.Equal(t, c.full, p.Decide(&full) == policy.Allow, c.condition)
		require.Equal(t, c.bare, p.Decide(&policy.Request{Principal: alice, Action: "Decrypt", Resource: key}) == policy.Allow, c.condition)
	}
}

// TestNamesThatDifferInCase: a second pair neither opens an Allow nor escapes a Deny.
func TestNamesThatDifferInCase(t *testing.T) {
	r := &policy.Request{Principal: alice, Action: "Decrypt", Resource: key, Context: map[string]string{"a": "1", "A": "2"}}
	condition := `"Principal":"*","Action":"kms:*","Condition":{"StringEquals":{"kms:EncryptionContext:a":"1"}}`
	for range 20 { // in whatever order the map gives them
		require.Equal(t, policy.None, parse(t, statements(`"Effect":"Allow",`+condition)).Decide(r))
		require.Equal(t, policy.Deny, parse(t, statements(`"Effect":"Deny",`+condition)).Decide(r))
	}
	delete(r.Context, "A")
	for i := range 40 { // many names, of which no two are twins
		r.Context[fmt.Sprint(i)] = ""
	}
	r = &policy.Request{Principal: alice, Action: "Decrypt", Resource: key, Context: r.Context}
	require.Equal(t, policy.Allow, parse(t, statements(`"Effect":"Allow",`+condition)).Decide(r))
}

func TestMistakes(t *testing.T) {
	good := `"Effect":"Allow","Principal":"*","Action":"kms:*"`
	with := func(condition string) string { return statements(good + `,"Condition":` + condition) }
	for text, reason := range map[string]string{
		"@":                                   "the text ends too early",
		`{@`:                                  "the text ends too early",
		"{\n  \"Version\": @2012\n}":          "Version: the version is 2012-10-17 or 2008-10-17",
		`{"Version":@"2012-10-18"}`:           "Version: the version is 2012-10-17 or 2008-10-17",
		`@[]`:                                 "this is a list; a policy is an object",
		`@{}`:                                 "the policy has no statement",
		`@{"Statement":[]}`:                   "the policy has no statement",
		`{"Statement":[@"x"]}`:                "Statement[0]: this is a string; a statement is an object",
		`{"Statments":@[]}`:                   `Statments: a policy has no element "Statments"`,
		`{"Id":"a",@"Id":"b"}`:                `the name "Id" occurs twice`,
		`{"Statement":{}} @x`:                 "there is text behind the policy",
		"{\"Statement\":[{},\n@]}":            "Statement[1]: not valid JSON: invalid character ']' looking for beginning of value",
		`{"Statement":[@{"Effect":"Allow"}]}`: "Statement[0]: the statement has no Principal",
		`{"Statement":[{"Effect":@"allow"}]}`: "Statement[0].Effect: the effect is Allow or Deny",
		`{"Statement":@{` + good + `}}`:       "Statement: the statement has no Resource",
		`{"Statement":[{` + good + `,"Resource":"*"},@{"Effect":"Deny","Principal":"*","Resource":"*"}]}`: "Statement[1]: the statement needs either Action or NotAction",
		`{"Statement":@{` + good + `,"NotAction":"kms:*","Resource":"*"}}`:                                "Statement: the statement needs either Action or NotAction",
		`{"Statement":{"Resource":["*",@"x"]}}`:                                                           `Statement.Resource[1]: "x" is no resource: use "*" or a key ARN`,
		statements(`"NotPrincipal":@"*"`):                                                                 "Statement[0].NotPrincipal: NotPrincipal is not supported in a key policy; use a Deny with a condition on aws:PrincipalArn",
		statements(`"Action":@"s3:GetObject"`):                                                            `Statement[0].Action: "s3:GetObject" is no action of KMS: it has to begin with kms:`,
		statements(`"Action":["kms:Decrypt",@"kms:Decyrpt"]`):                                             `Statement[0].Action[1]: there is no action "kms:Decyrpt"`,
		statements(`"Action":@[]`):                                                                        "Statement[0].Action: the list is empty",
		statements(`"Action":[@1]`):                                                                       "Statement[0].Action[0]: this is a number; a string is wanted",
		statements(`"Principal":@"alice"`):                                                                `Statement[0].Principal: a principal is "*" or {"AWS": ...}`,
		statements(`"Principal":{"AWS":@"alice"}`):                                                        `Statement[0].Principal.AWS: "alice" is no principal: use an account (12 digits), arn:aws:iam::ACCOUNT:root, or arn:aws:iam::ACCOUNT:user/NAME without wildcards`,
		statements(`"Principal":{"AWS":@"arn:aws:iam::000000000000:user/*"}`):                             `Statement[0].Principal.AWS: "arn:aws:iam::000000000000:user/*" is no principal: use an account (12 digits), arn:aws:iam::ACCOUNT:root, or arn:aws:iam::ACCOUNT:user/NAME without wildcards`,
		statements(`"Principal":{"Aws":@"*"}`):                                                            `Statement[0].Principal.Aws: there is no principal of kind "Aws"; use AWS`,
		with(`@[]`):                                                                                       "Statement[0].Condition: a condition is an object of operators, such as StringEquals",
		with(`{"StringEqual":{"kms:ViaService":@"x"}}`):                                                   `Statement[0].Condition.StringEqual: there is no operator "StringEqual" here`,
		with(`{"StringEquals":{"kms:ViaServ":@"x"}}`):                                                     `Statement[0].Condition.StringEquals.kms:ViaServ: the condition key "kms:ViaServ" is not known here`,
		with(`{"StringEquals":{"kms:EncryptionContext:":@"x"}}`):                                          `Statement[0].Condition.StringEquals.kms:EncryptionContext:: the condition key "kms:EncryptionContext:" is not known here`,
		with(`{"StringEquals":{"kms:EncryptionContextKeys":@"x"}}`):                                       "Statement[0].Condition.StringEquals.kms:EncryptionContextKeys: kms:EncryptionContextKeys has many values: write ForAllValues: or ForAnyValue: before the operator",
		with(`{"ForAllValues:StringEquals":{"kms:EncryptionContext:a":@"x"}}`):                            "Statement[0].Condition.ForAllValues:StringEquals.kms:EncryptionContext:a: OverlyPermissiveCondition: kms:EncryptionContext:a has one value, and ForAllValues also holds when it is missing. Leave ForAllValues: out",
		with(`{"StringEquals":{"kms:ViaService":@{}}}`):                                                   "Statement[0].Condition.StringEquals.kms:ViaService: this is an object; a string is wanted",
		with(`{"StringEquals":{"kms:ViaService":@[]}}`):                                                   "Statement[0].Condition.StringEquals.kms:ViaService: the list is empty",
		with(`{"StringLike":{"aws:username":@"${aws:username}"}}`):                                        "Statement[0].Condition.StringLike.aws:username: policy variables (${...}) are not known here",
		with(`{"Bool":{"kms:GrantIsForAWSResource":@"yes"}}`):                                             `Statement[0].Condition.Bool.kms:GrantIsForAWSResource: "yes" is not true or false`,
		with(`{"Null":{"kms:ViaService":@["true","false"]}}`):                                             "Statement[0].Condition.Null.kms:ViaService: Null needs one value",
		with(`{"NullIfExists":{"kms:ViaService":@"true"}}`):                                               `Statement[0].Condition.NullIfExists: there is no operator "NullIfExists" here`,
		with(`{"ArnLike":{"aws:PrincipalArn":@"alice"}}`):                                                 `Statement[0].Condition.ArnLike.aws:PrincipalArn: "alice" is not an ARN`,
		with(`{"NumericEquals":{"kms:RotationPeriodInDays":@"NaN"}}`):                                     `Statement[0].Condition.NumericEquals.kms:RotationPeriodInDays: "NaN" is not a number`,
		with(`{"StringEquals":@{}}`):                                                                      "Statement[0].Condition.StringEquals: StringEquals needs an object of condition keys",
		"@\xff":                                                                                           "the text is not valid UTF-8",
		strings.Repeat("[", 17) + "@" + strings.Repeat("[", 9):                                            strings.Repeat("[0]", 17) + ": nested more than 16 deep",
		`@{"Id":"` + strings.Repeat("x", policy.MaxSize) + `","Statement":{` + good + `}}`:                fmt.Sprintf("the policy has %d bytes; the limit is 32768", policy.MaxSize+len(good)+24),
	} {
		before, after, ok := strings.Cut(text, "@")
		require.True(t, ok, "the place of the mistake is marked")
		line, column := 1+strings.Count(before, "\n"), len(before)-strings.LastIndexByte(before, '\n')
		want := fmt.Sprintf("line %d, column %d: %s", line, column, reason)
		if p, _, ok := strings.Cut(reason, ": "); ok && (strings.HasPrefix(p, "Statement") || strings.HasPrefix(p, "[") || p == "Version" || p == "Statments") {
			want = fmt.Sprintf("line %d, column %d, %s", line, column, reason)
		}
		_, err := policy.Parse(before + after)
		require.Error(t, err, text)
		var se *policy.SyntaxError
		require.True(t, errors.As(err, &se))
		require.Equal(t, want, err.Error(), text)
	}
}
