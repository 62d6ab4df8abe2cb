"""What runs beneath everything: files written whole, JSON out, jobs, progress, dates and versions."""
