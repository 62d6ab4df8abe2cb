"""A forward pass by PyVene, with any heads ablated."""
