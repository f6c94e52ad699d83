"""The gRPC services, one a module."""
