"""A backend with everything said: what is unset stands there as what it means, the same for people and programs."""

from __future__ import annotations

from zcontrol.pool.rendezvous import weight
from zcontrol.v1 import pool_pb2


def explicit(backend: pool_pb2.Backend) -> pool_pb2.Backend:
    """A copy in which state, weight and every endpoint's choices are set, as pool.proto says what unset means."""
    told = pool_pb2.Backend()
    told.CopyFrom(backend)
    told.state = backend.state or pool_pb2.BACKEND_STATE_ACTIVE
    told.weight = weight(backend)
    for _, endpoint in told.endpoints.ListFields():
        endpoint.tls = endpoint.tls or pool_pb2.BACKEND_TLS_OFF
        if endpoint.tls != pool_pb2.BACKEND_TLS_OFF:
            endpoint.verify = endpoint.verify or pool_pb2.VERIFY_FULL
        endpoint.login_style = endpoint.login_style or pool_pb2.LOGIN_STYLE_REPLAY
        endpoint.forward = endpoint.forward or pool_pb2.FORWARD_NONE
    return told
