"""How long a prompt may be. Nothing here imports torch: the command line names these numbers."""

DEFAULT_MAX_TOKENS = 128
MAX_TOKENS_LIMIT = 256  # the largest cap that the live page may be given
