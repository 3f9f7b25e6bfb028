"""`make reset`: forget the local data, so that the next `make run` begins anew."""

import os
import shutil
import sys

from dev import unprivileged
from dev.claim import claimed
from dev.config import Config, Problem


def main() -> int:
    """Clear DATA_DIR and what stands for it elsewhere, unless the system is running."""
    try:
        config = Config.from_env()
        if not config.data_dir.exists():
            print(f"Nothing to clear: {config.data_dir} is not there.")
            return 0
        _refuse_what_is_not_ours(config)
        with claimed(config.data_dir):
            if os.geteuid() == 0:
                stand_in = unprivileged.stand_in(config.data_dir / "postgres")
                shutil.rmtree(stand_in, ignore_errors=True)
            for path in config.data_dir.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path.name != "run.lock":
                    path.unlink()
    except Problem as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"Cleared {config.data_dir}")
    return 0


def _refuse_what_is_not_ours(config: Config) -> None:
    """DATA_DIR=/home must not cost a home."""
    if not (config.data_dir / "secrets" / "secret_key").exists():
        raise Problem(f"{config.data_dir} was not made by make run; remove it by hand.")


if __name__ == "__main__":
    sys.exit(main())
