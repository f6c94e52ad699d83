"""What history says of a change."""

from __future__ import annotations

from control.pools import backend, shared, two_mailboxes
from zcontrol.pool import model
from zcontrol.pool.differences import LONGEST_ACTION, described, differences
from zcontrol.v1 import pool_pb2 as pb


def test_every_changed_field_is_named_with_both_values() -> None:
    changed = backend("mbox-1", "web", weight=5, host="127.0.0.9")
    changed.endpoints.imap.CopyFrom(pb.Endpoint(port=993, tls=pb.BACKEND_TLS_IMPLICIT))
    changed.endpoints.pop3.port = 110
    found = differences(two_mailboxes(), model.update_backend(two_mailboxes(), changed))
    assert described("update mbox-1", found) == (
        "update mbox-1: group none to web, host 127.0.0.2 to 127.0.0.9, weight 100 to 5, imap.port 143 to 993, "
        "imap.tls off to implicit, imap.verify none to full, pop3 none to 110"
    )


def test_what_came_and_went_is_named_too() -> None:
    after = model.remove_backend(two_mailboxes(), "mbox-1")
    after = model.add_group(model.set_defaults(after, pb.Defaults(mail="web")), shared("new"))
    assert described("roll back to version 3", differences(two_mailboxes(), after)) == (
        "roll back to version 3: mbox-1 removed; new added; defaults mail mbox-2 to web"
    )


def test_saying_what_unset_means_is_no_difference() -> None:
    after = model.set_weight(model.undrain(two_mailboxes(), "mbox-1"), "mbox-1", 100)
    after.version += 1
    assert after.backends != two_mailboxes().backends
    assert differences(two_mailboxes(), after) == {}


def test_a_long_action_is_cut() -> None:
    after = two_mailboxes()
    after.backends.extend(backend(f"new-{number}") for number in range(1000))
    told = described("roll back to version 1", differences(two_mailboxes(), after))
    assert (len(told), told[-1]) == (LONGEST_ACTION, "…")
