"""What holds for every file of the project: nothing of anybody's machine in it, and the house style's few numbers."""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from project.checkout import ROOT, tracked

SOURCES = sorted((ROOT / "src").rglob("*.py"))
# Written in two halves, so that this file is not its own first finding.
PLACES = [f"/{name}/" for name in ("work", "root")] + [
    "/opt/" + "pypi",
    "pypi" + ".org",
    "python" + "hosted",
    "registry.npm" + "js",
    "deb.debian" + ".org",
]
LONG_BY_NATURE = {".lock", ".po", ".mo", ".json", ".svg", ".png"}


def texts() -> dict[str, str]:
    found = {}
    for path in tracked():
        data = path.read_bytes()
        if b"\0" not in data:
            found[path.relative_to(ROOT).as_posix()] = data.decode()
    return found


@pytest.mark.parametrize("place", PLACES)
def test_no_file_names_a_machines_path_or_a_registrys_host(place: str) -> None:
    inside_a_word = re.compile(r"(?<![\w.~-])" + re.escape(place))
    assert [name for name, text in texts().items() if inside_a_word.search(text)] == []


def test_no_file_is_longer_than_500_lines() -> None:
    lengths = {name: text.count("\n") for name, text in texts().items() if name != "LICENSE"}
    long = {n: lines for n, lines in lengths.items() if lines > 500 and Path(n).suffix not in LONG_BY_NATURE}
    assert long == {}


def test_every_module_says_why_it_exists() -> None:
    assert [str(path) for path in SOURCES if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_every_public_module_says_what_it_offers() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if not path.name.startswith("_")
        and not any(
            isinstance(node, ast.Assign | ast.AnnAssign) and "__all__" in ast.unparse(node).partition("=")[0]
            for node in ast.parse(path.read_text()).body
        )
    ]
    assert silent == []


def test_test_files_have_unique_names() -> None:
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_every_room_has_its_place_in_the_layers() -> None:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = {word for layer in rules[0]["layers"] for word in layer.replace("|", " ").split()}
    rooms = {f"breakroom.{path.parent.name}" for path in (ROOT / "src" / "breakroom").glob("*/__init__.py")}
    # Drills are data; sample apps have a rule of their own: they stand alone.
    assert rooms - {"breakroom.drills", "breakroom.apps"} == layers


@pytest.mark.parametrize("script", [path for path in tracked() if path.read_bytes()[:2] == b"#!"])
def test_every_script_can_be_read_by_its_shell(script: Path) -> None:
    shell = script.read_text().partition("\n")[0].rpartition("/")[2]
    assert shell in {"sh", "bash"}
    subprocess.run([shell, "-n", script], check=True)


def test_ci_stops_at_the_first_failure() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert "set -euo pipefail" in lines
    for command in ("scripts/test --lanes --check", "run_drill", "scripts/test-vm"):
        assert any(line.strip().startswith(command) for line in lines), command
    # What runs in the background is waited for, and must work alone if it failed there.
    background = [
        number for number, line in enumerate(lines) if line.endswith("&") and not line.endswith("&&")
    ]
    waited = lines.index('wait "$bench_pid" || code=$?')
    assert any("scripts/bench" in lines[number] for number in background)
    assert 'if [ "$code" -ne 0 ]; then' in lines[waited:]
    assert "    scripts/bench --small" in lines[waited:]


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    """scripts/check_generated.py, which is no module of the package."""
    spec = importlib.util.spec_from_file_location("check_generated", ROOT / "scripts" / "check_generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_generated"] = module
    spec.loader.exec_module(module)
    return module


def test_the_lock_files_agree_and_name_no_source(generated: ModuleType) -> None:
    run, dev = ((ROOT / name).read_text() for name in ("requirements.lock", "requirements-dev.lock"))
    everything = generated.pins(dev)
    assert {name: everything.get(name) for name in generated.pins(run)} == generated.pins(run)
    assert not re.search(r"https?:|file:|--index|--find-links|--trusted", run + dev)


def test_a_lock_without_a_dependency_is_called_stale(generated: ModuleType) -> None:
    lock = "rich==13.9.0 \\\n    --hash=sha256:00\n"
    assert list(generated.lock_faults("x.lock", lock, ["rich>=13"])) == []
    assert "click is missing" in next(generated.lock_faults("x.lock", lock, ["click"]))
    assert "rich==13.9.0 is not >=14" in next(generated.lock_faults("x.lock", lock, ["rich>=14"]))


def test_a_lock_without_hashes_is_a_fault(generated: ModuleType) -> None:
    assert "rich has no hash" in next(generated.lock_faults("x.lock", "rich==13.9.0\n", ["rich"]))


def test_the_list_of_drills_is_that_of_their_files(generated: ModuleType) -> None:
    assert list(generated.index_faults()) == []


def test_compiled_catalogues_are_looked_at(generated: ModuleType) -> None:
    assert list(generated.catalogue_faults()) == []
