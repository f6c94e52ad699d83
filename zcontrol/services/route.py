"""RouteService: edges ask where logins live and have credentials proved, people ask why."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final, final

import grpc
import structlog

from zcontrol.access.caller import leave
from zcontrol.errors import UnusableNameError
from zcontrol.fault import shown
from zcontrol.pool.rules import SERVICES
from zcontrol.pool.votes import Votes
from zcontrol.routing.explain import explain
from zcontrol.routing.resolver import Resolver
from zcontrol.security.verify import Verifiers
from zcontrol.services.verify import answer_proofs
from zcontrol.v1 import edge_pb2, pool_pb2, route_pb2, route_pb2_grpc

log = structlog.get_logger(__name__)

# As the contract of `Lookup` says; a stream that has more is read more slowly.
BATCHES_IN_FLIGHT: Final = 4
QUESTIONS_A_BATCH: Final = 256


@final
class RouteService(route_pb2_grpc.RouteServiceServicer):
    """Serves one resolver and what verifies, which a reload may exchange."""

    def __init__(
        self,
        resolver: Resolver,
        verifiers: Verifiers,
        pool: Callable[[], pool_pb2.Pool],
        votes: Votes,
        on_invalidate: Callable[[edge_pb2.Invalidation], None],
    ) -> None:
        """`on_invalidate` hears of every invalidation, those that the directory causes too."""
        self._pool = pool
        self._votes = votes
        self._on_invalidate = on_invalidate
        self._resolver = resolver
        self._verifiers = verifiers
        resolver.subscribe(on_invalidate)

    def use(self, resolver: Resolver, verifiers: Verifiers) -> None:
        """Serve others from now on; those before are their owner's to close."""
        self._resolver, self._verifiers = resolver, verifiers
        resolver.subscribe(self._on_invalidate)

    @property
    def resolver(self) -> Resolver:
        """The one that is served now."""
        return self._resolver

    @property
    def verifiers(self) -> Verifiers:
        """Those that are asked now."""
        return self._verifiers

    # grpc.aio takes a coroutine that writes as well as the iterator that the generated type knows.
    async def Lookup(  # type: ignore[override]  # noqa: N802 - gRPC's name
        self,
        request_iterator: AsyncIterator[route_pb2.LookupBatch],
        context: grpc.aio.ServicerContext[route_pb2.LookupBatch, route_pb2.LookupReply],
    ) -> None:
        """Answer batches as they come, several at a time, each answer as soon as it is known."""
        room = asyncio.Semaphore(BATCHES_IN_FLIGHT)
        writing = asyncio.Lock()

        async def answer(batch: route_pb2.LookupBatch) -> None:
            try:
                async for answers in self._resolver.resolve_in_parts(batch.questions):
                    reply = route_pb2.LookupReply(id=batch.id, answers=answers)
                    # grpc.aio takes one write at a time.
                    async with writing:
                        await context.write(reply)
            finally:
                room.release()

        async with asyncio.TaskGroup() as batches:
            async for batch in request_iterator:
                if len(batch.questions) > QUESTIONS_A_BATCH:
                    break
                await room.acquire()
                batches.create_task(answer(batch))
            else:
                return
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"a batch has at most {QUESTIONS_A_BATCH} questions")

    async def Verify(  # type: ignore[override]  # noqa: N802 - gRPC's name
        self,
        request_iterator: AsyncIterator[route_pb2.VerifyBatch],
        context: grpc.aio.ServicerContext[route_pb2.VerifyBatch, route_pb2.VerifyReply],
    ) -> None:
        """Tell of each credential what it proves; nothing of it is kept or logged."""
        await answer_proofs(lambda: self._verifiers, request_iterator, context)

    async def Explain(  # noqa: N802 - gRPC's name
        self,
        request: route_pb2.ExplainRequest,
        context: grpc.aio.ServicerContext[route_pb2.ExplainRequest, route_pb2.ExplainResponse],
    ) -> route_pb2.ExplainResponse:
        """Tell how a login is resolved and which backend it would reach."""
        if request.service and request.service not in SERVICES:
            told = f"service = {shown(request.service)}: no such service; one of {', '.join(SERVICES)}"
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, told)
        return await explain(self._resolver, self._pool(), self._votes, request)

    async def Invalidate(  # noqa: N802 - gRPC's name
        self,
        request: route_pb2.InvalidateRequest,
        context: grpc.aio.ServicerContext[route_pb2.InvalidateRequest, route_pb2.InvalidateResponse],
    ) -> route_pb2.InvalidateResponse:
        """Make older routes misses, in every cache and every edge."""
        if not (request.account or request.domain or request.home or request.all):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "name an account, a domain, a home, or set all")
        try:
            message = await self._resolver.invalidate(
                account=request.account, domain=request.domain, home=request.home, everything=request.all
            )
        except UnusableNameError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{request.WhichOneof('what')}: {error}")
        leave(f"routes of older epochs than {message.epoch} are misses")
        return route_pb2.InvalidateResponse(epoch=message.epoch)
