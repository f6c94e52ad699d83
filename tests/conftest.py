"""Fixtures of the whole suite live in `servers/`, one module a server; this names them to pytest."""

pytest_plugins = ["servers.certificates", "servers.dovecot", "servers.scram", "servers.tokens", "servers.zproxy"]
