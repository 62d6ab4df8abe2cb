"""Pure views: typed data in, a Dash tree out. No callbacks and no torch models here."""
