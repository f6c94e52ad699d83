"""A self-made certificate, by the `openssl` command that Debian's Dovecot brings along anyway."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from zcontrol.errors import ZproxyError

if TYPE_CHECKING:
    from pathlib import Path


def self_signed(certificate_file: Path, key_file: Path, *names: str) -> None:
    """Make a key and sign a certificate for `names` with it; clients trust it by trusting the file itself."""
    command = ["openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-days", "30", "-subj", f"/CN={names[0]}", "-addext", "basicConstraints=critical,CA:FALSE"]
    command += ["-addext", "subjectAltName=" + ",".join(f"DNS:{name}" for name in names)]
    command += ["-keyout", str(key_file), "-out", str(certificate_file)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own arguments
    except FileNotFoundError as error:
        raise ZproxyError("openssl is not installed: apt-get install openssl") from error
    except subprocess.CalledProcessError as error:
        raise ZproxyError(f"openssl made no certificate: {error.stderr.strip()}") from error
