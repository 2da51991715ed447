"""Makes a bucket in the S3-compatible store, where it has none of that name.

    python make_bucket.py NAME

Address and keys come from the environment of the MLflow server: MLFLOW_S3_ENDPOINT_URL and AWS_*.
"""

import os
import sys

import boto3

(name,) = sys.argv[1:]
store = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"])
if name in (bucket["Name"] for bucket in store.list_buckets()["Buckets"]):
    print(f"bucket {name}: is there")
else:
    store.create_bucket(Bucket=name)
    print(f"bucket {name}: made")
