"""Ranking heads by how they retrieve."""
