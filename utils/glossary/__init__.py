"""The words of the field, a row each."""
