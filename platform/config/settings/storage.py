"""The object store: any S3 server."""

from config.settings.environment import embedded_endpoints, env

S3_ENDPOINT: str = env.str("S3_ENDPOINT", default=embedded_endpoints.s3_endpoint)
# What clients outside reach the store by; presigned URLs carry it.
S3_PUBLIC_ENDPOINT: str = env.str("S3_PUBLIC_ENDPOINT", default=S3_ENDPOINT)
S3_ACCESS_KEY: str = env.str("S3_ACCESS_KEY", default=embedded_endpoints.s3_access_key)
S3_SECRET_KEY: str = env.str("S3_SECRET_KEY", default=embedded_endpoints.s3_secret_key)
S3_BUCKET: str = env.str("S3_BUCKET", default="lamppost")
S3_REGION: str = env.str("S3_REGION", default="us-east-1")
