"""A fake server that mail is brought to, by SMTP or LMTP, and that keeps what it took.

It reads as leniently as any server ever did: a message ends at a dot between line ends of whatever kind. What it is to
do wrong is an argument.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from servers.fake_backend import Conversation

USUAL = ("PIPELINING", "SIZE 1000000", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN")
"""What it lists."""
END_OF_DATA = re.compile(rb"(?:\A|\r\n|\r|\n)\0*\.\0*(?:\r\n|\n|\r)")
TAKEN = b"250 2.0.0 taken\r\n"
Verdict = bytes | None
"""A reply; none: it goes away without one."""


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A message that it answered for."""

    sender: bytes
    recipients: tuple[bytes, ...]
    data: bytes


def whole(conversation: Conversation) -> bytes:
    """Read a message to its end."""
    return conversation.until_match(END_OF_DATA)


@dataclass(kw_only=True)
class Receiver:
    """What it does, and what it took; a behaviour of `FakeBackend`."""

    lmtp: bool = False
    capabilities: tuple[str, ...] = USUAL
    replies: Mapping[bytes, Verdict] = field(default_factory=dict)
    """By command or recipient: `MAIL`, `DATA`, `siti@tgg.net.id`."""
    read: Callable[[Conversation], bytes] = whole
    verdict: Verdict = TAKEN
    """Of a message; in LMTP of each recipient."""
    messages: list[Taken] = field(default_factory=list)

    def __call__(self, conversation: Conversation) -> None:
        conversation.send(b"220 receiver.example ready\r\n")
        sender, recipients = b"", []
        for line in conversation.lines():
            verb = line.split(b" ")[0].upper()
            if verb in (b"EHLO", b"LHLO"):
                conversation.send(self._listed(verb))
                continue
            if verb == b"XCLIENT":
                conversation.send(b"220 receiver.example ready\r\n")
                continue
            if verb == b"QUIT":
                conversation.send(b"221 2.0.0 bye\r\n")
                return
            path = line.partition(b"<")[2].partition(b">")[0]
            reply = self.replies.get(
                path if verb == b"RCPT" else verb, b"354 go\r\n" if verb == b"DATA" else b"250 2.1.0 Ok\r\n"
            )
            if reply is None:
                return
            if verb == b"MAIL":
                sender, recipients = path, []
            elif verb == b"RCPT" and reply.startswith(b"250"):
                recipients.append(path)
            conversation.commands.append(line)
            conversation.send(reply)
            if reply.startswith(b"354"):
                data = self.read(conversation)
                # The end of a connection is the end of no message.
                if not END_OF_DATA.search(data[-8:]) or self.verdict is None:
                    return
                self.messages.append(Taken(sender=sender, recipients=tuple(recipients), data=data))
                conversation.send(self.verdict * (len(recipients) if self.lmtp else 1))

    def _listed(self, verb: bytes) -> bytes:
        assert (verb == b"LHLO") == self.lmtp, verb
        lines = ["receiver.example", *self.capabilities, "XCLIENT ADDR PORT HELO PROTO"]
        ends = ["-"] * (len(lines) - 1) + [" "]
        return "".join(f"250{end}{line}\r\n" for end, line in zip(ends, lines, strict=True)).encode()
