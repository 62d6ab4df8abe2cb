"""The domain: a station a file, from text to role activations. Nothing here imports dash."""
