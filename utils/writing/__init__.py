"""What heads write into the residual stream, and what that does to the prediction."""
