"""Filings with questions: generated and real, as a model's tokens, and answers graded."""
