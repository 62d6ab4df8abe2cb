"""The protocol, its models and filings, and the results folder."""
