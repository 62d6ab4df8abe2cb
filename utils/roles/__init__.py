"""What a role is, how a head is scored for it, and when a head is active."""
