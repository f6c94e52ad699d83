"""AuditService: the audit log, searched."""

# ruff: noqa: N802 - gRPC names its methods

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, final

import grpc

from zcontrol.services.refusals import refusals
from zcontrol.v1 import audit_pb2, audit_pb2_grpc

if TYPE_CHECKING:
    from zcontrol.access.audit import Audit

Context = grpc.aio.ServicerContext[Any, Any]


@final
class AuditService(audit_pb2_grpc.AuditServiceServicer):
    """Serves one log."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def List(self, request: audit_pb2.ListAuditRequest, context: Context) -> audit_pb2.ListAuditResponse:
        """Lines that match, newest first, as many as the limit allows."""
        limit = min(request.limit or LISTED, LONGEST_LIST)
        found = audit_pb2.ListAuditResponse()
        async with refusals(context), contextlib.aclosing(self._audit.lines(before=request.before_id)) as lines:
            async for line in lines:
                if request.HasField("since") and line.time.ToNanoseconds() < request.since.ToNanoseconds():
                    break
                if not _matches(line, request):
                    continue
                if len(found.lines) == limit:
                    found.truncated = True
                    break
                found.lines.append(line)
        return found


def _matches(line: audit_pb2.AuditLine, request: audit_pb2.ListAuditRequest) -> bool:
    who = request.who.lower()
    return (
        (who in line.caller.lower() or who in line.author.lower())
        and request.method.lower() in line.method.lower()
        and request.address in ("", line.address.rpartition(":")[0].strip("[]"))
        and request.outcome in (audit_pb2.AUDIT_OUTCOME_UNSPECIFIED, line.outcome)
    )


LISTED = 100
# A few hundred octets each, some MB in all.
LONGEST_LIST = 1000
