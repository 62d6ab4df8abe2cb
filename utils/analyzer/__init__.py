"""How a catalog is made."""
