"""What the functions share: environment, Google, S3, logs and metrics."""
