"""Measurements, each printing ratios of numbers taken in one run."""
