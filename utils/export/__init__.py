"""What leaves the page as a file."""
