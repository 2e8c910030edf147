package s3api_test

import "fmt"

func encryptionXML(algorithm, keyID string, bucketKey bool) string {
	if keyID != "" {
		keyID = "<KMSMasterKeyID>" + keyID + "</KMSMasterKeyID>"
	}
	return fmt.Sprintf(`<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule><ApplyServerSideEncryptionByDefault>`+
		`<SSEAlgorithm>%s</SSEAlgorithm>%s</ApplyServerSideEncryptionByDefault><BucketKeyEnabled>%t</BucketKeyEnabled></Rule></ServerSideEncryptionConfiguration>`,
		algorithm, keyID, bucketKey)
}
