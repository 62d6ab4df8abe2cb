"""The domain, one module per step, from text to role activations. Nothing here imports dash."""
