"""What every request goes through, and the routes that are no page."""
