"""Proofs as an edge sends them, and verdicts in a word."""

from __future__ import annotations

from zcontrol.v1 import route_pb2


def password(login: str, typed: str, account: str = "") -> route_pb2.Proof:
    """What a client typed."""
    question = route_pb2.Question(login=login.encode())
    return route_pb2.Proof(question=question, password=typed.encode(), account=account, service="imap")


def bearer(token: bytes, login: str = "", account: str = "") -> route_pb2.Proof:
    """A token, with or without a name beside it."""
    question = route_pb2.Question(login=login.encode()) if login else None
    return route_pb2.Proof(question=question, token=token, account=account, service="imap")


def said(verdict: route_pb2.Verdict) -> str:
    """`verified` with the account, `refused`, `refused expired` or `fault`."""
    match verdict.WhichOneof("result"):
        case "verified":
            return f"verified {verdict.verified.account}"
        case "refused" if verdict.refused.expired:
            return "refused expired"
        case result:
            return str(result)
