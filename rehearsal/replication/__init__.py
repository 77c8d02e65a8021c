"""The replication route in rehearsal: traffic on a DynamoDB table, and what of it arrives."""
