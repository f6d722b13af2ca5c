"""`pytest -m routing` as a user types it: cold start by phase, the whole suite, the teardown."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.statistics import timed

ROOT = Path(__file__).parent.parent
PHASES = ("provision", "install", "apps")


def measure() -> dict[str, float]:
    """`cold_start_s`: command to first test body, also by phase; `suite_routing_s`: the whole command; `teardown_s`.

    Errors: RuntimeError with the end of pytest's output if the suite failed, for figures of a failed run mean nothing.
    """
    with tempfile.TemporaryDirectory(prefix="meshtest-bench-") as directory:
        report = Path(directory, "timings.json")
        command = [sys.executable, "-m", "pytest", "-m", "routing", "-q", f"--timings={report}"]
        with timed() as whole:
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(
                f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-1000:]}"
            )
        figures = json.loads(report.read_text())
    phases = figures["phases_s"]
    return {
        "cold_start_s": figures["cold_start_s"],
        **{f"cold_start_{phase}_s": phases[phase] for phase in PHASES},
        "suite_routing_s": whole.seconds,
        "teardown_s": phases["teardown"],
    }
