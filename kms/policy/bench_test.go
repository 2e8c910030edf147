package policy_test

import (
	"testing"

	"kmsfs/kms/policy"
)

func BenchmarkDecide(b *testing.B) {
	many := []string{}
	for range 10 {
		many = append(many, `"Effect":"Deny","Principal":{"AWS":"`+alice+`"},"Action":["kms:Decrypt","kms:Encrypt"],"Condition":{`+
			`"StringNotLike":{"kms:EncryptionContext:aws:s3:arn":"arn:aws:s3:::bucket/*"},"StringEquals":{"kms:ViaService":"`+viaS3+`"}}`)
	}
	many = append(many, `"Effect":"Allow","Principal":{"AWS":"`+alice+`"},"Action":["kms:Decrypt"]`)
	for name, text := range map[string]string{
		"default": policy.Default(account), "managed": policy.ManagedS3(account, "us-east-1"), "ten-denials": statements(many...),
	} {
		b.Run(name, func(b *testing.B) {
			p := parse(b, text)
			r := policy.Request{Principal: alice, Action: "Decrypt", Resource: key, ViaService: viaS3,
				Context: map[string]string{"department": "hr", "aws:s3:arn": "arn:aws:s3:::bucket/hr/payroll.csv"}}
			b.ReportAllocs()
			for b.Loop() {
				if p.Decide(&r) != policy.Allow {
					b.Fatal("not allowed")
				}
			}
		})
	}
}
