"""Scoring: what a model is worth on the test pictures, and beside the published numbers."""
