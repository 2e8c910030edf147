"""Uses a KMS endpoint with boto3 as a program would: python3 boto3_client.py URL. Prints "done" when all is as with AWS."""
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

kms = boto3.client("kms", endpoint_url=sys.argv[1], config=Config(retries={"max_attempts": 1}))


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, e
        assert e.response["ResponseMetadata"]["RequestId"], e
        return e.response["Error"]["Message"]
    raise AssertionError(f"{call} was not refused")


key = kms.create_key(Description="boto3")["KeyMetadata"]
arn, context = key["Arn"], {"department": "hr", "project": "pay"}
assert key["CreationDate"].year >= 2024
for n in range(5):
    kms.create_alias(AliasName=f"alias/{n}", TargetKeyId=arn)
pages = kms.get_paginator("list_aliases").paginate(KeyId=arn, PaginationConfig={"PageSize": 2})
assert [len(p["Aliases"]) for p in pages] == [2, 2, 1]
data = kms.generate_data_key(KeyId="alias/3", KeySpec="AES_256", EncryptionContext=context)
blob = data["CiphertextBlob"]
assert len(data["Plaintext"]) == 32 and data["KeyId"] == arn
assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=dict(reversed(context.items())))["Plaintext"] == data["Plaintext"]
assert refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=blob) == ""
if "DryRun" in kms.meta.service_model.operation_model("Decrypt").input_shape.members:
    refused("DryRunOperationException", kms.decrypt, CiphertextBlob=blob, EncryptionContext=context, DryRun=True)
if hasattr(kms, "rotate_key_on_demand"):
    assert kms.rotate_key_on_demand(KeyId=arn)["KeyId"] == arn
    rotations = kms.list_key_rotations(KeyId=arn)["Rotations"]
    assert len(rotations) == 1 and rotations[0]["RotationType"] == "ON_DEMAND", rotations
    assert kms.decrypt(CiphertextBlob=blob, EncryptionContext=context)["Plaintext"] == data["Plaintext"]
assert kms.get_key_rotation_status(KeyId=arn)["KeyRotationEnabled"] is False
assert refused("NotFoundException", kms.describe_key, KeyId="alias/none") == "Alias arn:aws:kms:us-east-1:000000000000:alias/none is not found."
kms.disable_key(KeyId=arn)
assert refused("DisabledException", kms.encrypt, KeyId=arn, Plaintext=b"x") == f"{arn} is disabled."
kms.schedule_key_deletion(KeyId=arn, PendingWindowInDays=7)
assert kms.describe_key(KeyId=arn)["KeyMetadata"]["DeletionDate"] > key["CreationDate"]
kms.cancel_key_deletion(KeyId=arn)
print("done")
