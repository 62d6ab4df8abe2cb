"""The aggregated tables and their intervals."""
