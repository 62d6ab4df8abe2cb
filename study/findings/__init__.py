"""FINDINGS.md, from the tables alone."""
