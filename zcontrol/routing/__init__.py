"""Routes: from a typed login to the account and its home."""
