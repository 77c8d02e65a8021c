"""Carries the changes of a DynamoDB table to a table of Aurora MySQL."""
