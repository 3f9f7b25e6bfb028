"""`python -m tests` imports every module of the tests, and runs none.

Types of tests are not checked, so nothing else would notice in seconds that one imports a name
which is no more.
"""

import importlib
from pathlib import Path

HERE = Path(__file__).parent
for path in sorted(HERE.rglob("*.py")):
    importlib.import_module(".".join(path.relative_to(HERE.parent).with_suffix("").parts))
