"""Who may do what: here a client's credential is proved."""
