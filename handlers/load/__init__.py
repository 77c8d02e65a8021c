"""Loads a completed export into BigQuery: plan, start runs, check runs, settle."""
