"""What a transaction costs, stage by stage: the JSON object has what it must have. So short a run measures nothing."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "bench" / "breakdown.py"


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_every_stage_of_the_primary_and_of_a_backup_is_measured() -> None:
    ended = run("--batch", "1,4", "--transactions", "8", "--repeat", "1", "--json")

    assert ended.returncode == 0, ended.stderr
    rows = json.loads(ended.stdout)["results"]
    assert [(row["role"], row["batch"]) for row in rows] == [
        ("primary", 1),
        ("backup", 1),
        ("primary", 4),
        ("backup", 4),
    ]
    for row in rows:
        stages = row["stages_us_per_tx"]
        assert 0 < stages["signatures checked"] < row["us_per_tx"]
        assert {"frames opened and decoded", "core steps", "execution", "store commit"} <= stages.keys()


def test_help_explains_by_example() -> None:
    ended = run("--help")

    assert ended.returncode == 0
    assert "python bench/breakdown.py --" in ended.stdout
