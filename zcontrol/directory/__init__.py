"""Directories: where the control plane learns who exists and where they live."""

from zcontrol.directory.base import Directory
from zcontrol.directory.file import FileDirectory
from zcontrol.directory.ldap import LdapDirectory
from zcontrol.directory.zimbra import ZimbraDirectory
from zcontrol.errors import DirectoryError
from zcontrol.v1 import config_pb2

__all__ = ["open_directory"]


def open_directory(config: config_pb2.Directory, before: Directory | None = None) -> Directory:
    """The directory that the config names, to take another's place; raises `DirectoryError` if it cannot be used."""
    match config.WhichOneof("source"):
        case "file":
            return FileDirectory(config.file.path, before if isinstance(before, FileDirectory) else None)
        case "ldap" if config.ldap.preset == config_pb2.LDAP_PRESET_ZIMBRA:
            return ZimbraDirectory(config.ldap)
        case "ldap":
            return LdapDirectory(config.ldap)
        case _:
            raise DirectoryError("no directory is configured: set directory.file or directory.ldap")
