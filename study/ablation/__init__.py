"""What has to be ablated, and running it."""
