"""What is known about one prompt."""
