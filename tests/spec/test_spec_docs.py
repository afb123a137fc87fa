"""docs/drill-file.md says what the loader does."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from breakroom.spec import compose_keys
from breakroom.spec.compose_shapes import ACCEPTED, SERVICE_FIELDS
from breakroom.spec.drill import METRICS
from breakroom.spec.drill_actions import ACTIONS
from breakroom.spec.drill_shapes import DRILL
from breakroom.spec.loader import SpecErrors, load_drill

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "drill-file.md").read_text(encoding="utf-8")
FIVE = Path(__file__).parent / "data" / "five-mistakes.yaml"
BLOCKS = [
    b for b in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if b != FIVE.read_text(encoding="utf-8")
]

COMPOSE = """
services:
  plain: {image: improved-app:latest, ports: ["8080:3000"]}
  web: {image: improved-app:latest, ports: ["8080:3000"], networks: [front]}
"""


def keys_of(heading: str) -> dict[str, str]:
    """The table below a heading: key → text."""
    section = TEXT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0].split("\n### ", 1)[0]
    return dict(re.findall(r"^\| `([a-z0-9_]+)` \| (.*?) \|", section, re.MULTILINE))


def test_the_tables_of_compose_keys_are_those_of_the_loader() -> None:
    assert keys_of("Compose keys that are used") == {
        name: field.doc for name, field in SERVICE_FIELDS.items()
    }
    assert keys_of("Compose keys that are accepted without effect") == dict(ACCEPTED)
    assert keys_of("Compose keys that are refused") == dict(compose_keys.REFUSED_SERVICE)


def test_every_metric_action_and_drill_key_is_in_the_docs() -> None:
    assert keys_of("Expect") == {name: str(kind) for name, kind in METRICS.items()}
    assert keys_of("Timeline").keys() == ACTIONS.keys()
    assert all(f"`{key}`" in TEXT for key in DRILL.fields)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: " ".join(block.split())[:40])
def test_every_drill_shown_loads(block: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "shown.yaml").write_text(block)
    for pace in ("quick", "course"):
        assert load_drill(tmp_path / "shown.yaml", pace=pace, env={}).contenders


def test_the_shown_mistakes_and_their_messages_are_real(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(FIVE, tmp_path / FIVE.name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SpecErrors) as caught:
        load_drill(FIVE.name, pace="quick", env={})
    assert FIVE.read_text(encoding="utf-8") in TEXT
    assert str(caught.value) in TEXT
