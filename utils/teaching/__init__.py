"""Presets and lessons."""
