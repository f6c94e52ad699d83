"""What edges say of endpoints, kept for people."""

from __future__ import annotations

from control.pools import two_mailboxes
from zcontrol.pool.votes import LONGEST_REASON, Votes
from zcontrol.v1 import edge_pb2


def report(reason: str, backend: str = "mbox-1") -> edge_pb2.HealthReport:
    endpoint = edge_pb2.EndpointHealth(backend=backend, service="imap", up=not reason, reason=reason)
    return edge_pb2.HealthReport(endpoints=[endpoint])


def test_the_reason_that_most_edges_give_is_told() -> None:
    votes = Votes()
    for edge, reason in (("a", "timed out"), ("b", "refused"), ("c", "refused"), ("d", "")):
        votes.report(edge, report(reason))
    [down] = votes.endpoints_down(two_mailboxes())
    assert (down.backend, down.service, down.edges, down.of, down.reason) == ("mbox-1", "imap", 3, 4, "refused")


def test_an_edge_that_leaves_takes_its_word_with_it() -> None:
    votes = Votes()
    votes.report("a", report("refused"))
    votes.forget("a")
    assert (votes.endpoints_down(two_mailboxes()), votes.edges) == ([], 0)


def test_a_backend_that_the_pool_does_not_know_is_not_told() -> None:
    votes = Votes()
    votes.report("a", report("refused", backend="gone"))
    assert votes.endpoints_down(two_mailboxes()) == []


def test_a_reason_is_cut_and_has_no_escape_sequence() -> None:
    votes = Votes()
    votes.report("a", report("\x1b[2J" + "x" * 1000))
    reason = votes.endpoints_down(two_mailboxes())[0].reason
    assert (reason.isprintable(), len(reason), reason[-1]) == (True, LONGEST_REASON, "…")
