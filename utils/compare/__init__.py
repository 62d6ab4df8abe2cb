"""Two prompts or two models side by side."""
