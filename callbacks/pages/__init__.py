"""The callbacks of the pages that are one module each."""
