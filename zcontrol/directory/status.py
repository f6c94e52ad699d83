"""Account status: what the words of a directory mean."""

from typing import Final

from zcontrol.errors import DirectoryError
from zcontrol.v1 import route_pb2


def account_status(word: str) -> route_pb2.AccountStatus.ValueType:
    """The status; an empty word is active, an unknown one raises: neither a refusal nor a welcome would be true."""
    status = _STATUS.get(word.strip().lower())
    if status is None:
        raise DirectoryError(f"status {word!r} is none of {', '.join(filter(None, _STATUS))}")
    return status


_STATUS: Final = {
    "": route_pb2.ACCOUNT_STATUS_ACTIVE,
    "active": route_pb2.ACCOUNT_STATUS_ACTIVE,
    "locked": route_pb2.ACCOUNT_STATUS_LOCKED,
    # Zimbra's words for "locked after too many wrong passwords" and "not yet opened".
    "lockout": route_pb2.ACCOUNT_STATUS_LOCKED,
    "pending": route_pb2.ACCOUNT_STATUS_LOCKED,
    "closed": route_pb2.ACCOUNT_STATUS_CLOSED,
    "maintenance": route_pb2.ACCOUNT_STATUS_MAINTENANCE,
    # Zimbra's words for domains whose mail is kept and to whom nobody logs in for now.
    "suspended": route_pb2.ACCOUNT_STATUS_MAINTENANCE,
    "shutdown": route_pb2.ACCOUNT_STATUS_MAINTENANCE,
}
