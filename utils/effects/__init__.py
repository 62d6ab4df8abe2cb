"""What ablating heads does to a prediction."""
