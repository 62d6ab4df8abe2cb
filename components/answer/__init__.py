"""The column of the model's answer: headline, next tokens, and views of more."""
