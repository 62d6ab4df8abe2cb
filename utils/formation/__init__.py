"""How the heads of a bundled model formed while it was trained."""
