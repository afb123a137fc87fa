"""Two runs beside each other: what is compared, how columns are headed, and that nothing is made up."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from breakroom.i18n import translator
from breakroom.report.beside import beside
from report.conftest import Made

Make = Callable[..., Made]


def test_beside_puts_each_contender_of_both_runs_in_neighbouring_columns(made: Make) -> None:
    one = made(repeat=3)[0]
    other = msgspec.structs.replace(made(repeat=3, names=("single", "orchestrated"))[0], platform="swarm")
    metrics, phases = beside(one, other, translator("en"))
    heads = ("single\nlocal", "single\nswarm", "orchestrated\nlocal", "orchestrated\nswarm")
    assert metrics.head == ("", *heads)
    assert phases.head == ("Moment", *heads)
    assert all(len(row) == len(heads) + 1 for table in (metrics, phases) for row in table.rows)
    shown = {row[0]: row[1:] for row in metrics.rows}
    known = one.drills[0].contenders[0].metrics["longest_outage"].median
    assert known is not None
    assert shown["Outage, longest"][0].startswith(translator("en").duration(known))


def test_beside_tells_runs_on_the_same_platform_by_their_ids(made: Make) -> None:
    one = made()[0]
    other = msgspec.structs.replace(one, run_id="another-run")
    metrics, _ = beside(one, other, translator("ko"))
    assert metrics.head[1:3] == (f"single\n{one.run_id}", "single\nanother-run")


def test_beside_shows_nothing_where_runs_have_nothing_in_common(made: Make) -> None:
    other = made(drill="another")[0]
    assert beside(made()[0], other, translator("en")) == ()


def test_beside_shows_an_unknown_number_as_none(made: Make) -> None:
    one = made()[0]
    drill = one.drills[0]
    mine = drill.contenders[0]
    unknown = msgspec.structs.replace(mine.phases["detected"], median=None)
    changed = msgspec.structs.replace(mine, phases={**mine.phases, "detected": unknown})
    other = msgspec.structs.replace(
        one, platform="swarm", drills=(msgspec.structs.replace(drill, contenders=(changed,)),)
    )
    _, phases = beside(one, other, translator("en"))
    row = next(row for row in phases.rows if row[0] == translator("en").label("phase", "detected"))
    assert row[2] == translator("en").duration(None)
    assert row[1] != row[2]
