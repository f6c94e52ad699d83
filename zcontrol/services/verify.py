"""The stream of `RouteService.Verify`: batches as they come, several at a time, each verdict as soon as it is known."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final, final

import grpc

from zcontrol.security.verify import Verifiers
from zcontrol.v1 import route_pb2

Context = grpc.aio.ServicerContext[route_pb2.VerifyBatch, route_pb2.VerifyReply]

# As the contract of `Verify` says; a stream that has more is read more slowly.
BATCHES_IN_FLIGHT: Final = 4
PROOFS_A_BATCH: Final = 64


async def answer_proofs(
    verifiers: Callable[[], Verifiers], batches: AsyncIterator[route_pb2.VerifyBatch], context: Context
) -> None:
    """Serve one stream to its end; each proof goes to the verifiers of its moment."""
    room = asyncio.Semaphore(BATCHES_IN_FLIGHT)
    # grpc.aio takes one write at a time.
    writing = asyncio.Lock()
    async with asyncio.TaskGroup() as under_way:
        async for batch in batches:
            if len(batch.proofs) > PROOFS_A_BATCH:
                break
            await room.acquire()
            task = under_way.create_task(_Batch(batch.id, context, writing).answer(verifiers, batch.proofs))
            task.add_done_callback(lambda _: room.release())
        else:
            return
    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"a batch has at most {PROOFS_A_BATCH} proofs")


@final
class _Batch:
    """The verdicts of one batch, written in as few replies as waiting for nobody allows."""

    def __init__(self, number: int, context: Context, writing: asyncio.Lock) -> None:
        self._number = number
        self._context = context
        self._writing = writing
        self._unwritten: list[route_pb2.Verdict] = []

    async def answer(self, verifiers: Callable[[], Verifiers], proofs: Sequence[route_pb2.Proof]) -> None:
        async with asyncio.TaskGroup() as under_way:
            for index, proof in enumerate(proofs):
                under_way.create_task(self._answer_one(verifiers, index, proof))

    async def _answer_one(self, verifiers: Callable[[], Verifiers], index: int, proof: route_pb2.Proof) -> None:
        verdict = await verifiers().verify(proof)
        verdict.proof = index
        self._unwritten.append(verdict)
        async with self._writing:
            # What others have brought while this waited its turn goes along; they find nothing left.
            if self._unwritten:
                reply = route_pb2.VerifyReply(id=self._number, verdicts=self._unwritten)
                self._unwritten.clear()
                await self._context.write(reply)
