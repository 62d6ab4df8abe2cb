"""The study of retrieval heads: rank, ablate, tabulate, draw, report."""
