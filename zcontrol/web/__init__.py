"""HTTP served by the control plane."""
