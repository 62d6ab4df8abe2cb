"""The callbacks of the live page."""
