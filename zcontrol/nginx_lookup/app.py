"""The façade as an HTTP application: one path, for callers who may ask."""

import socket
import ssl
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from zcontrol import metrics
from zcontrol.nginx_lookup.callers import Callers
from zcontrol.nginx_lookup.lookup import Lookup, Sources
from zcontrol.v1 import config_pb2
from zcontrol.web.http_server import HttpServer, Setting


def serve(
    config: config_pb2.NginxLookup, sources: Sources, listening: socket.socket, tls: ssl.SSLContext | None
) -> HttpServer:
    """Answer by this config on a listening socket."""
    callers, lookup = Callers(config), Lookup(config, sources)

    async def answer(request: Request) -> Response:
        headers = request.headers.raw
        if not callers.knows(headers):
            metrics.NGINX_LOOKUPS.labels("forbidden").inc()
            return PlainTextResponse("no secret, or a wrong one", status_code=FORBIDDEN)
        response = Response()
        response.raw_headers += await lookup.answer(headers)
        return response

    app = Starlette(routes=[Route(PATH, answer, methods=["GET"])])
    return HttpServer.start(app, listening, Setting(tls=tls, admits=callers.admits))


# Where Zimbra's own is.
PATH: Final = "/service/extension/nginx-lookup"
FORBIDDEN: Final = 403
