"""The catalog file of a model's heads, and what it says."""
