"""Whether a directory could be opened, for `zproxy check`: accounts files are read whole, servers are not asked."""

import asyncio
from collections.abc import Iterator

from zcontrol.directory import open_directory
from zcontrol.errors import DirectoryError
from zcontrol.fault import Fault
from zcontrol.v1 import config_pb2


def check_directory(directory: config_pb2.Directory) -> Iterator[Fault]:
    """What would keep control from starting with it."""
    source = directory.WhichOneof("source")
    path = "directory.file.path" if source == "file" else ".".join(filter(None, ("directory", source)))
    try:
        opened = open_directory(directory)
    except DirectoryError as error:
        yield Fault(path=path, problem=str(error))
    else:
        asyncio.run(opened.close())
