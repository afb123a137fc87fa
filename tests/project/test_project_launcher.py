"""The launcher makes its environment once, completely or not at all, and says what is wrong when it cannot."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import breakroom
from project.checkout import PATIENCE, ROOT, SMALL_LOCK, Checkout

MAKING = "making the environment"


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout whose environment was made. Shared: a test that damages it mends it."""
    checkout = Checkout(tmp_path_factory.mktemp("shared") / "a ready checkout")
    made = checkout.set_up()
    # These tests install packages. In CI that has to work; elsewhere, without a network, they skip.
    if made.returncode and "could not be installed" in made.stderr and not os.environ.get("CI"):
        pytest.skip("no package index can be reached from here")
    assert made.returncode == 0, made.stderr
    assert MAKING in made.stderr
    assert made.stdout == f"{checkout.venv}\n"
    return checkout


@pytest.fixture
def checkout(ready: Checkout, tmp_path: Path) -> Checkout:
    """A checkout as it is cloned."""
    assert ready.venv.exists()  # or the test was skipped: nothing can be installed here
    return Checkout(tmp_path / "a checkout")


@pytest.fixture
def only_asks(tmp_path: Path) -> str:
    """A Python that does not make the environment and says where it was asked to, for tests of *whether* it is made."""
    python = tmp_path / "python that asks"
    script = '#!/bin/sh\ncase $* in *make_environment.py*) echo "asked for $6" >&2; exit 3 ;; esac\n'
    python.write_text(script)
    python.chmod(0o755)
    return str(python)


def test_a_fresh_clone_becomes_breakroom_from_anywhere_and_through_a_link(
    ready: Checkout, tmp_path: Path
) -> None:
    assert ready.venv.exists()
    whole = Checkout(tmp_path / "my clone", small=False)
    links = tmp_path / "bin dir"
    links.mkdir()
    (links / "brk").symlink_to("../my clone/breakroom")
    said = []
    for command in ([whole.root / "breakroom"], [links / "brk"], ["sh", "../my clone/breakroom"]):
        result = subprocess.run(
            [*command, "--version"],
            cwd=links,
            env=whole.environ(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        assert result.stdout.strip() == f"breakroom {breakroom.__version__}"
        said.append(result.stderr)
    assert MAKING in said[0]
    assert said[1:] == ["", ""]


def test_a_second_start_only_finds_the_environment(ready: Checkout, only_asks: str) -> None:
    found = ready.set_up(BREAKROOM_PYTHON=only_asks)
    assert (found.returncode, found.stdout, found.stderr) == (0, f"{ready.venv}\n", "")


def test_the_environment_imports_breakroom_from_the_checkout(ready: Checkout) -> None:
    found = subprocess.run(
        [ready.venv / "bin" / "python", "-c", "import breakroom, mdurl; print(breakroom.__file__)"],
        cwd="/",
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == ready.root / "src" / "breakroom" / "__init__.py"


@pytest.mark.parametrize("part", [".breakroom/made", ".breakroom/requirements.lock", "bin/python"])
def test_an_environment_that_lacks_a_part_is_made_again(ready: Checkout, only_asks: str, part: str) -> None:
    away = ready.root / "away"
    (ready.venv / part).rename(away)
    again = ready.set_up(BREAKROOM_PYTHON=only_asks)
    away.rename(ready.venv / part)
    assert again.stderr == f"asked for {ready.venv}\n"
    assert again.returncode == 3


def test_a_changed_lock_makes_the_environment_again(ready: Checkout, only_asks: str) -> None:
    lock = ready.root / "requirements.lock"
    lock.write_text(f"# changed\n{SMALL_LOCK}")
    again = ready.set_up(BREAKROOM_PYTHON=only_asks)
    lock.write_text(SMALL_LOCK)
    assert again.stderr == f"asked for {ready.venv}\n"


def test_a_checkout_that_was_moved_gets_its_own_environment(
    ready: Checkout, only_asks: str, tmp_path: Path
) -> None:
    first = ready.root
    ready.root = first.rename(tmp_path / "elsewhere")
    again = ready.set_up(BREAKROOM_PYTHON=only_asks)
    ready.root = ready.root.rename(first)
    assert again.stderr == f"asked for {tmp_path}/elsewhere/.venv\n"


def test_the_tests_environment_is_not_taken_away_by_the_launcher(ready: Checkout, only_asks: str) -> None:
    # What scripts/test leaves behind: a stamp that holds both locks.
    both = ready.venv / ".breakroom" / "requirements-dev.lock"
    shutil.copy(ready.root / "requirements-dev.lock", both)
    found = ready.set_up(BREAKROOM_PYTHON=only_asks)
    both.unlink()
    assert found.stderr == ""


def test_breakroom_venv_says_where_it_is(checkout: Checkout, only_asks: str, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "env s" / "mine")
    again = checkout.set_up(BREAKROOM_VENV=elsewhere, BREAKROOM_PYTHON=only_asks)
    assert again.stderr == f"asked for {elsewhere}\n"


def test_two_first_starts_at_once_end_with_one_environment(checkout: Checkout) -> None:
    both = [checkout.start(), checkout.start()]
    errors = [one.communicate(timeout=PATIENCE)[1] for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sum(MAKING + " in" in error for error in errors) == 1
    assert checkout.set_up().stderr == ""


def test_a_start_that_was_killed_while_making_does_no_harm(checkout: Checkout) -> None:
    killed = checkout.start()
    assert killed.stderr is not None
    assert any("2/3" in line for line in killed.stderr)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    again = checkout.set_up()
    assert again.returncode == 0
    assert MAKING in again.stderr


def test_an_environment_that_somebody_else_made_is_left_alone(checkout: Checkout) -> None:
    checkout.venv.mkdir()
    (checkout.venv / "precious").write_text("data")
    refused = checkout.set_up()
    assert refused.returncode == 1
    assert "was not made by breakroom" in refused.stderr
    assert "BREAKROOM_VENV=" in refused.stderr
    assert (checkout.venv / "precious").read_text() == "data"


def test_without_a_package_index_it_says_which_command_failed_and_where_the_log_is(
    checkout: Checkout,
) -> None:
    nowhere = {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }
    failed = checkout.set_up(BREAKROOM_NO_UV="1", PIP_INDEX_URL="http://127.0.0.1:9/simple", **nowhere)
    assert failed.returncode == 1
    assert "the packages could not be installed" in failed.stderr
    assert "check the network" in failed.stderr
    assert re.search(r"bin/python' -I -m pip install .*requirements\.lock", failed.stderr)
    assert "mdurl" in (checkout.root / ".setup.log").read_text()
    assert not (checkout.venv / ".breakroom" / "made").exists()


def test_without_a_python_that_is_new_enough_it_says_what_to_install(
    checkout: Checkout, tmp_path: Path
) -> None:
    tools = tools_without_python(tmp_path / "tools")
    old = tools / "python3"
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'Python 3.9.2' || exit 1\n")
    old.chmod(0o755)
    failed = checkout.set_up(PATH=str(tools))
    assert failed.returncode == 1
    assert "needs Python 3.11 or newer" in failed.stderr
    assert "python3 is: Python 3.9.2" in failed.stderr
    assert "apt install python3" in failed.stderr


def tools_without_python(directory: Path) -> Path:
    directory.mkdir()
    for name in ("sh", "cmp", "cksum", "readlink", "cat"):
        found = shutil.which(name)
        assert found is not None
        (directory / name).symlink_to(found)
    return directory


def test_without_the_venv_module_it_names_debians_package(checkout: Checkout, tmp_path: Path) -> None:
    # Debian's python3 without python3-venv: the real interpreter, to which ensurepip does not exist.
    crippled = tmp_path / "python3"
    crippled.write_text(
        "#!/bin/sh\n"
        "case $* in *make_environment.py*) ;; *) exit 0 ;; esac\n"
        f"exec '{sys.executable}' -I -c 'import runpy, sys; sys.modules[\"ensurepip\"] = None\n"
        'sys.argv = sys.argv[4:]; runpy.run_path(sys.argv[0], run_name="__main__")\' "$@"\n'
    )
    crippled.chmod(0o755)
    failed = checkout.set_up(BREAKROOM_PYTHON=str(crippled), BREAKROOM_NO_UV="1")
    assert failed.returncode == 1
    assert "without its venv module" in failed.stderr
    assert "apt install python3-venv" in failed.stderr
    assert not checkout.venv.exists()


@pytest.fixture
def read_only(ready: Checkout) -> Iterator[tuple[Checkout, Path]]:
    """A checkout that its user cannot write to, and a home that they can. Not in tmp_path, which is root's alone."""
    assert ready.venv.exists()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        home = Path(name) / "home"
        home.mkdir()
        checkout = Checkout(Path(name) / "read only")
        if os.geteuid() == 0:
            os.chown(home, 65534, 65534)
        checkout.root.chmod(0o555)
        yield checkout, home
        checkout.root.chmod(0o755)


@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs a Python that every user may run")
def test_a_read_only_checkout_has_its_environment_in_the_users_cache(
    read_only: tuple[Checkout, Path],
) -> None:
    checkout, home = read_only
    nobody = 65534 if os.geteuid() == 0 else None
    environ = checkout.environ(HOME=str(home), PATH="/usr/bin:/bin", PIP_NO_CACHE_DIR="1", XDG_CACHE_HOME="")
    command = [
        "sh",
        "-c",
        'set -eu; root=$1; . "$root/scripts/environment.sh"; environment run; echo "$venv"',
    ]
    for already_there in (False, True):
        made = subprocess.run(
            [*command, "sh", str(checkout.root)],
            env=environ,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            user=nobody,
            group=nobody,
            extra_groups=[] if nobody else None,
        )
        assert made.returncode == 0, made.stderr
        assert Path(made.stdout.strip()).is_relative_to(home / ".cache" / "breakroom")
        assert (MAKING not in made.stderr) == already_there


def test_the_launcher_and_its_helpers_are_executable() -> None:
    for name in ("breakroom", "scripts/test", "scripts/check", "scripts/coverage", "scripts/lock", ".ci/run"):
        assert os.access(ROOT / name, os.X_OK), name
