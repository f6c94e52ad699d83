"""zproxy's control plane and command; the data plane is `zcontrol._core`, built from `core/`."""

import os

# Each handshake that fails would leave a line that is no JSON on stderr, as many as anybody likes. gRPC reads it once.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
