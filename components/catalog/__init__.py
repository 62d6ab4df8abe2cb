"""The parts of the catalog page."""
