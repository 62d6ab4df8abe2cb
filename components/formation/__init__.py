"""The parts of the page on how heads form."""
