"""The one door of the API: every call is admitted here, or refused, and every change is audited.

A method is always served as a stream, so that nothing of a request is read before its caller is admitted.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, final

import grpc
import structlog
from google.protobuf.message import DecodeError

from zcontrol.access.audit import Ending
from zcontrol.access.caller import TRAIL, Caller, RefusedError, Shown, Trail
from zcontrol.access.roles import EDGE, METHODS, VIEWER, Rule
from zcontrol.errors import StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from google.protobuf.message import Message

    from zcontrol.access.admission import Admission
    from zcontrol.access.audit import Audit
    from zcontrol.access.tokens import Tokens

log = structlog.get_logger(__name__)

Context = grpc.aio.ServicerContext[Any, Any]


class _Called(NamedTuple):
    """A method as it was called."""

    method: str
    # None: there is no such method.
    handler: Any
    # None: the table has no row of it.
    rule: Rule | None


@final
@dataclasses.dataclass(eq=False, kw_only=True)
class _Pass:
    """What lets a call go on: it may be taken away."""

    shown: Shown
    called: _Called
    caller: Caller
    task: asyncio.Task[Any]
    # A change whose request has come: it is soon over, and half of it nobody wants.
    begun: bool = False
    # Why it was taken away.
    ended: RefusedError | None = None

    def end(self, why: RefusedError) -> None:
        self.ended = why
        self.task.cancel()


@final
class Guard(grpc.aio.ServerInterceptor):
    """Stands before all services of one server."""

    def __init__(self, admission: Admission, audit: Audit, tokens: Tokens) -> None:
        self._admission = admission
        self._audit = audit
        self._tokens = tokens
        self._passes: set[_Pass] = set()
        self._open_calls: Counter[str] = Counter()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:  # noqa: ANN401 - a handler, whatever its messages are
        """Serve the method behind the door."""
        method = handler_call_details.method
        # Of a method that there may not be; logs are read in terminals.
        told = method if method.isprintable() else repr(method)[1:-1]
        called = _Called(told, await continuation(handler_call_details), METHODS.get(method))

        async def serve(requests: AsyncIterator[Any], context: Context) -> None:
            await self._serve(called, requests, context)

        # A single request is read by `_pass`, which looks at its size first.
        streams = getattr(called.handler, "request_streaming", False)
        return grpc.stream_stream_rpc_method_handler(
            serve,
            request_deserializer=called.handler.request_deserializer if streams else None,
            response_serializer=getattr(called.handler, "response_serializer", None),
        )

    async def watch_over(self) -> None:
        """End, for ever, calls whose callers may not make them any more."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await asyncio.to_thread(self._admission.refresh)
                self.judge()
                self._tokens.warn()
                await self._audit.tell_unlisted()
            except Exception:
                # Who should be gone stays until the next round, and somebody is told.
                log.exception("open calls cannot be watched over")

    def judge(self) -> None:
        """End the calls of those who would not be admitted now."""
        for open_pass in tuple(self._passes):
            called = open_pass.called
            if called.rule is None or open_pass.begun:
                continue
            try:
                self._admission.admit(open_pass.shown, called.method, called.rule)
            except RefusedError as refused:
                open_pass.end(refused)

    async def _serve(self, called: _Called, requests: AsyncIterator[Any], context: Context) -> None:
        shown = Shown.by(context)
        try:
            caller = self._admission.admit_call(shown, called.method, called.rule or _ANYBODYS)
            if called.handler is None or called.rule is None:
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"there is no method {called.method[1:]!r}")
            with self._passing(shown, called, caller) as open_pass:
                await self._pass(called, requests, context, open_pass)
        except RefusedError as refused:
            await self._audit.refuse(refused, called.method)
            await context.abort(refused.status, str(refused))

    @contextlib.contextmanager
    def _passing(self, shown: Shown, called: _Called, caller: Caller) -> Any:  # noqa: ANN401 - an iterator of one pass
        """The pass of a call for as long as it lasts; RefusedError if it is taken away."""
        if not caller.local and self._open_calls[caller.name] >= MOST_OPEN_CALLS:
            told = f"{caller.name} has {MOST_OPEN_CALLS} calls under way; end some"
            raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, told, caller)
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a call is served by a task")
        open_pass = _Pass(shown=shown, called=called, caller=caller, task=task)
        self._passes.add(open_pass)
        self._open_calls[caller.name] += 1
        try:
            yield open_pass
        except asyncio.CancelledError:
            if open_pass.ended is None:
                raise
            task.uncancel()
            raise open_pass.ended from None
        finally:
            self._passes.discard(open_pass)
            self._open_calls[caller.name] -= 1
            if not self._open_calls[caller.name]:
                del self._open_calls[caller.name]

    async def _pass(self, called: _Called, requests: AsyncIterator[Any], context: Context, open_pass: _Pass) -> None:
        trail = Trail(caller=open_pass.caller)
        TRAIL.set(trail)
        handler = called.handler
        if handler.request_streaming:
            await _stream(handler.stream_stream, requests, context)
            return
        octets = await anext(requests, None)
        if octets is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{called.method[1:]} takes a request, and got none")
        self._admission.check_size(len(octets), open_pass.caller)
        try:
            request = handler.request_deserializer(octets)
        except DecodeError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no request of {called.method[1:]}: {error}")
        if handler.response_streaming:
            await _stream(handler.unary_stream, request, context)
        elif called.rule and called.rule.changes:
            open_pass.begun = True
            await context.write(await self._audited(called, request, context, trail))
        else:
            await context.write(await handler.unary_unary(request, context))

    async def _audited(self, called: _Called, request: Message, context: Context, trail: Trail) -> Message:
        try:
            line = await self._audit.begin(trail, called.method, request)
        except StoreUnavailableError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, f"the audit log cannot be written: {error}")
            raise
        try:
            answer: Message = await called.handler.unary_unary(request, context)
        except BaseException as error:
            await self._audit.end(line, trail, _ending(context, error))
            raise
        await self._audit.end(line, trail)
        return answer


async def _stream(behaviour: Any, request: Any, context: Context) -> None:  # noqa: ANN401 - a servicer's method
    """Serve by a generator, or by a coroutine that writes."""
    if not inspect.isasyncgenfunction(behaviour):
        await behaviour(request, context)
        return
    async with contextlib.aclosing(behaviour(request, context)) as answers:
        async for answer in answers:
            await context.write(answer)


def _ending(context: Context, error: BaseException) -> Ending:
    if isinstance(error, asyncio.CancelledError):
        return Ending("CANCELLED", "the caller left before it ended; what was begun by then goes on")
    if isinstance(error, grpc.aio.AbortError):
        code = context.code()
        return Ending(getattr(code, "name", str(code)), str(context.details() or ""))
    return Ending("UNKNOWN", type(error).__name__)


# Who proves nothing does not even learn which methods there are.
_ANYBODYS = Rule((EDGE, VIEWER))
# "Within two seconds", as the protos promise.
WATCH_SECONDS = 1.0
# An edge has four, and a thousand edges may share a name.
MOST_OPEN_CALLS = 4096
