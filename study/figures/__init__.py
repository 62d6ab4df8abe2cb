"""The study's figures, a registry row each."""
