"""The callbacks of the retrieval lab."""
