"""Messages as people write them: most are text, some carry an attachment. No line is long or begins with a dot."""

from __future__ import annotations

import base64
import functools
import random
import uuid
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plan.fields import Span

SENTENCE = b"One host name in front of every mailbox server, and nobody notices which.\r\n"
BLOCK = 2**20


def letter(sender: str, recipients: list[str], text: Span, attachment: Span | None) -> bytes:
    """Write one; sizes are octets, from least to most."""
    boundary = uuid.uuid4().hex
    head = [
        f"From: <{sender}>",
        f"To: {', '.join(f'<{recipient}>' for recipient in recipients)}",
        f"Date: {formatdate()}",
        f"Message-ID: <{boundary}@load.example>",
        "Subject: A letter of the load test",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{boundary}"' if attachment else "Content-Type: text/plain",
    ]
    body = SENTENCE * max(1, _drawn(text) // len(SENTENCE))
    if attachment:
        part = f"--{boundary}\r\nContent-Type: ".encode()
        file = b'application/octet-stream; name="a"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        body = part + b"text/plain\r\n\r\n" + body + part + file + _encoded(_drawn(attachment))
        body += f"--{boundary}--\r\n".encode()
    return "\r\n".join(head).encode("ascii") + b"\r\n\r\n" + body


def _drawn(span: Span) -> int:
    # Small ones are more frequent than large ones.
    return int(span[0] + (span[1] - span[0]) * random.random() ** 3)  # noqa: S311 - no secret


def _encoded(octets: int) -> bytes:
    whole, rest = divmod(octets, len(_block()))
    return _block() * whole + _block()[: rest - rest % LINE]


@functools.cache
def _block() -> bytes:
    """Octets that no one can compress, made once: the generator has better things to do."""
    text = base64.b64encode(random.Random(0).randbytes(BLOCK))  # noqa: S311 - no secret
    width = LINE - 2
    return b"".join(text[at : at + width] + b"\r\n" for at in range(0, len(text) - width + 1, width))


LINE = 78
"""76 letters and CRLF, as RFC 2045 has it."""
