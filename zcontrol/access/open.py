"""All of access as control holds it: opened from a config, exchanged by a reload, watched over while it serves."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, final

from zcontrol.access.admission import Admission
from zcontrol.access.audit import Audit
from zcontrol.access.guard import Guard
from zcontrol.access.listening import ControlError, Files, by_tls
from zcontrol.access.tls import TlsFiles, TlsFilesError, read
from zcontrol.access.tokens import Tokens

if TYPE_CHECKING:
    from typing import Self

    from zcontrol.access.store import AccessStore
    from zcontrol.v1 import config_pb2


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Access:
    """Who may call; make one by `Access.open`."""

    tokens: Tokens
    audit: Audit
    files: Files
    guard: Guard
    _admission: Admission

    @classmethod
    async def open(cls, store: AccessStore, api: config_pb2.Api) -> Self:
        """What a config asks for; ControlError if its files cannot be used."""
        try:
            files = await asyncio.to_thread(_files, api)
        except TlsFilesError as error:
            raise ControlError(str(error)) from error
        tokens = await Tokens.open(store)
        admission = Admission(api, tokens, files)
        audit = Audit(store, api.audit)
        guard = Guard(admission, audit, tokens)
        return cls(tokens=tokens, audit=audit, files=files, guard=guard, _admission=admission)

    def use(self, api: config_pb2.Api) -> None:
        """Go by another config from now on: its rules, its limits and its files, which `check_files` has found good."""
        wanted = by_tls(api)
        for key, shown in self.files._asdict().items():
            if shown and key in wanted:
                shown.use(wanted[key])
        self._admission.use(api)
        self.audit.use(api.audit)


def check_files(api: config_pb2.Api) -> None:
    """ControlError if the files of a config cannot be used."""
    for key, listener in by_tls(api).items():
        try:
            read(listener)
        except TlsFilesError as error:
            raise ControlError(f"api.{key}.{error}") from error


def _files(api: config_pb2.Api) -> Files:
    check_files(api)
    return Files(**{key: TlsFiles(listener) for key, listener in by_tls(api).items()})
