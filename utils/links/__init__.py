"""What a page shows, as a value and as a link."""
