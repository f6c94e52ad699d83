"""Logging of the Python side: one JSON line an event on stderr, or colours where a person watches.

Libraries log by the standard library; their lines come out in the same form.
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logging() -> None:
    """Set up structlog and the standard library's logging, once a process."""
    before: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*before, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=before,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering()],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger(GRPC).addFilter(_is_of_text)


def _is_of_text(record: logging.LogRecord) -> bool:
    """Metadata and methods that are no text gRPC shows, a token too, as often as anybody sends them."""
    return record.exc_info is None or not isinstance(record.exc_info[1], UnicodeDecodeError)


def _rendering() -> list[structlog.typing.Processor]:
    # Tracebacks as data, or as rich draws them, would tell local variables, among them passwords: text has only the
    # lines of code.
    if sys.stderr.isatty():
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


GRPC = "grpc._cython.cygrpc"
