"""Who may call control and do what: certificates and tokens in, roles, limits and the audit log out."""
