"""What the retrieval lab computes for one filing and question."""
