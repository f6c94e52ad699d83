"""HTTP of the control plane: what it serves, and what it asks others."""
