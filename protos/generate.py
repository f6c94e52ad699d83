"""Generate `zcontrol/v1` from `protos/`; with `--check`, only compare and say what differs."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "zcontrol" / "v1"


def generate(into: Path) -> None:
    """Write modules, stubs and services into `into/zcontrol/v1`."""
    protos = sorted((ROOT / "protos" / "zcontrol" / "v1").glob("*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}"]
    outputs = ("python_out", "mypy_out", "grpc_python_out", "mypy_grpc_out")
    command += [f"--{kind}={into}" for kind in outputs]
    # The plugins lie beside this Python, in an environment that need not be activated.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([*command, *map(str, protos)], check=True, env=os.environ | {"PATH": path})  # noqa: S603 - ours
    made = into / "zcontrol" / "v1"
    for module in made.glob("*_pb2_grpc.py"):
        # A .proto without a service makes an empty module; nobody imports it.
        if "class " not in module.read_text():
            module.unlink()
            module.with_suffix(".pyi").unlink(missing_ok=True)
    (made / "__init__.py").write_text('"""Generated from protos/zcontrol/v1 by protos/generate.py; never edited."""\n')


def main() -> int:
    """Return 1 when `--check` finds a difference."""
    with tempfile.TemporaryDirectory() as scratch:
        generate(Path(scratch))
        fresh = Path(scratch) / "zcontrol" / "v1"
        if "--check" not in sys.argv:
            shutil.rmtree(TARGET, ignore_errors=True)
            shutil.copytree(fresh, TARGET)
            return 0
        names = {path.name for path in (*fresh.iterdir(), *TARGET.glob("*.py*")) if path.is_file()}
        differing = [n for n in sorted(names) if not _same(fresh / n, TARGET / n)]
    for name in differing:
        print(f"zcontrol/v1/{name} is not what protos/ make: run `python protos/generate.py`", file=sys.stderr)
    return 1 if differing else 0


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)


if __name__ == "__main__":
    sys.exit(main())
