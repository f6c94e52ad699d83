"""Directories: where the control plane learns who exists and where they live."""

from collections.abc import Callable

from zcontrol.directory.auth_http import AuthHttpDirectory
from zcontrol.directory.base import Directory
from zcontrol.directory.file import FileDirectory
from zcontrol.directory.ldap import LdapDirectory
from zcontrol.directory.zimbra import ZimbraDirectory
from zcontrol.errors import DirectoryError
from zcontrol.v1 import config_pb2, pool_pb2

__all__ = ["open_directory"]


def open_directory(
    config: config_pb2.Directory,
    before: Directory | None = None,
    *,
    pool: Callable[[], pool_pb2.Pool] = pool_pb2.Pool,
) -> Directory:
    """The directory that the config names, to take another's place; raises `DirectoryError` if it cannot be used.

    `pool` gives the current one, for directories that answer with addresses.
    """
    match config.WhichOneof("source"):
        case "file":
            return FileDirectory(config.file.path, before if isinstance(before, FileDirectory) else None)
        case "ldap" if config.ldap.preset == config_pb2.LDAP_PRESET_ZIMBRA:
            return ZimbraDirectory(config.ldap)
        case "ldap":
            return LdapDirectory(config.ldap)
        case "auth_http":
            return AuthHttpDirectory(config.auth_http, pool)
        case _:
            raise DirectoryError("no directory is configured: set directory.file, .ldap or .auth_http")
