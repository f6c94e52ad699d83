"""People with habits: a user class a protocol. A profile says who comes, and how each differs from the usual."""
