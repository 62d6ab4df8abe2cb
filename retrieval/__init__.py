"""Retrieval heads: facts in long texts, for the analyzer, the lab, the study and training."""
