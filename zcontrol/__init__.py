"""zproxy's control plane and command; the data plane is `zcontrol._core`, built from `core/`."""
