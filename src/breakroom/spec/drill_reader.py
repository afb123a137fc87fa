"""From a drill's YAML trees to a `Drill`.

Here are `extends`, `pace`, the contenders, and every check that needs more than one key.

Called by `spec.loader`. Mistakes are noted in a `Problems`, with the place in the file they came from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from breakroom.spec.autoscale_form import check_replicas
from breakroom.spec.compose import ServiceReader
from breakroom.spec.drill import (
    Contender,
    Drill,
    Expectation,
    LoadSpec,
    MemoryStep,
    OperatorModel,
    ProbeSpec,
    Recovered,
    Stage,
    SteadyState,
)
from breakroom.spec.drill_acts import check_acts
from breakroom.spec.drill_shapes import CONTENDER, CONTENDER_KEYS, DRILL, NAME_PATTERN
from breakroom.spec.errors import Problems
from breakroom.spec.expect import parse_expectation
from breakroom.spec.merge import is_null, merge, merge_document, merge_drill
from breakroom.spec.nodes import Entry, MapNode, Node, ScalarNode, SeqNode, describe
from breakroom.spec.units import format_duration

__all__ = ["STANDARD_PACES", "DocumentSource", "DrillReader", "paces_of", "resolve_extends"]

STANDARD_PACES = ("quick", "course")
"""Paces that every drill has, with no overlay where the file says nothing of them."""
_MOST_EXTENDS = 20
_OPEN_ONLY = ("rate", "stages", "arrivals")
_CLOSED_ONLY = ("concurrency", "requests", "pause_after_failure")


class DocumentSource(Protocol):
    """Where `extends` finds a drill's tree, by a built-in's name or a path that counts from `relative_to`."""

    def document(self, name: str, *, relative_to: ScalarNode | None, path: str) -> MapNode | None:
        """The tree; None after noting why there is none."""
        ...


def resolve_extends(
    root: MapNode, source: DocumentSource, default_contenders: Callable[[], MapNode], problems: Problems
) -> MapNode:
    """The drill laid over all that it extends. A base without contenders has the default ones, to be laid over too."""
    chain = [root]
    files = {root.place.file}
    while (extends := chain[-1].get("extends")) is not None and not is_null(extends):
        if not isinstance(extends, ScalarNode) or not isinstance(extends.value, str):
            break  # the shape check names this mistake
        base = source.document(extends.value, relative_to=extends, path="extends")
        if base is None:
            break
        if base.place.file in files or len(chain) > _MOST_EXTENDS:
            problems.add(
                extends.place,
                "extends",
                "`extends` goes in a circle",
                cause=" → ".join([*(c.place.file for c in chain), base.place.file]),
                correct="extends: kill",
            )
            break
        files.add(base.place.file)
        chain.append(base)
    merged = chain.pop()
    if chain and "contenders" not in merged.entries:
        merged = _with_contenders_of(merged, default_contenders())
    while chain:
        over = chain.pop()
        merged = merge_drill(merged.without("extends"), over)
    return merged


def paces_of(document: MapNode) -> tuple[str, ...]:
    """The paces that can be asked for."""
    pace = document.get("pace")
    own = tuple(pace.entries) if isinstance(pace, MapNode) else ()
    return tuple(dict.fromkeys([*own, *STANDARD_PACES]))


class DrillReader:
    """Reads one resolved document, for one pace after the other."""

    def __init__(
        self,
        document: MapNode,
        default_contenders: Callable[[], MapNode],
        variables: Mapping[str, str],
        problems: Problems,
    ) -> None:
        """`default_contenders` gives a drill document whose contenders are used where this one has none."""
        self._problems = problems
        self._services = ServiceReader(variables, problems)
        if document.get("contenders") is None:
            document = _with_contenders_of(document, default_contenders())
        self._document = document

    def read(self, pace: str, name: str, source: str) -> Drill | None:
        """The drill at one pace; None if there was a mistake."""
        before = self._problems.noted
        document = self._at_pace(pace)
        values = DRILL.read(document, "", self._problems)
        self._check_timeline(document)
        self._check_load(document)
        self._check_times(document, values)
        contenders = self._contenders(document)
        self._check_memory(document, values, contenders)
        if self._problems.noted == before:
            check_acts(document, values.get("timeline", ()), contenders, self._problems)
        expect = self._expectations(values.get("expect"), document)
        if self._problems.noted > before:
            return None
        load = values.get("load")
        return Drill(
            name=values.get("name", name),
            pace=pace,
            contenders=contenders,
            timeline=tuple(sorted(values.get("timeline", ()), key=lambda step: step.at)),
            title=values.get("title", {}),
            description=values.get("description", {}),
            probe=ProbeSpec(**values.get("probe", {})),
            load=None if load is None else _load(load),
            steady_state=SteadyState(**values.get("steady_state", {})),
            recovered=Recovered(**values.get("recovered", {})),
            expect=expect,
            side_by_side=values.get("side_by_side", False),
            source=source,
        )

    def _at_pace(self, pace: str) -> MapNode:
        paces = self._document.get("pace")
        overlay = paces.get(pace) if isinstance(paces, MapNode) else None
        if not isinstance(overlay, MapNode):
            return self._document
        return merge_document(self._document, overlay.without("name", "extends", "pace"))

    # --- checks that need more than one key ---------------------------------------------------------------------

    def _check_timeline(self, document: MapNode) -> None:
        """Something must happen: a step, or a load that begins within the timeline."""
        timeline, load = document.get("timeline"), document.get("load")
        surges = isinstance(load, MapNode) and "at" in load.entries
        if surges or (timeline is not None and not (isinstance(timeline, SeqNode) and not timeline.items)):
            return
        self._problems.add(
            document.place if timeline is None else timeline.place,
            "timeline",
            "`timeline` is missing: nothing would be broken" if timeline is None else "the list is empty",
            cause="it was forgotten, or `extends: kill`; only a load with `at` is a fault of its own",
            correct="timeline:\n  - at: 0s\n    kill: {tasks: 1}",
        )

    def _check_load(self, document: MapNode) -> None:
        load = document.get("load")
        if not isinstance(load, MapNode):
            return
        model = load.get("model")
        is_open = isinstance(model, ScalarNode) and model.value == "open"
        for key in _CLOSED_ONLY if is_open else _OPEN_ONLY:
            if key in load.entries:
                other = "closed" if is_open else "open"
                self._problems.add(
                    load.entries[key].key_place,
                    f"load.{key}",
                    f"`{key}` belongs to the {other} model",
                    cause="`model: open` is missing" if not is_open else "the load is `model: open`",
                    correct="load: {model: open, rate: 100/s}   or   load: {model: closed, concurrency: 10}",
                )
        if is_open and "rate" in load.entries and "stages" in load.entries:
            self._problems.add(
                load.entries["rate"].key_place,
                "load.rate",
                "`rate` and `stages` are both here",
                cause="stages have rates of their own",
                correct="keep one of the two",
            )

    def _check_times(self, document: MapNode, values: dict[str, Any]) -> None:
        for key, part in (("steady_state", "duration"), ("recovered", "stable")):
            node = document.get(key)
            read = values.get(key)
            if not isinstance(node, MapNode) or read is None or not {part, "within"} <= read.keys():
                continue
            if read[part] > read["within"]:
                self._problems.add(
                    node.entries["within"].key_place,
                    f"{key}.within",
                    f"`within` is shorter than `{part}` ({format_duration(read[part])})",
                    cause="it could never come true",
                    correct=f"{key}: {{{part}: 3s, within: 60s}}",
                )

    def _check_memory(
        self, document: MapNode, values: dict[str, Any], contenders: tuple[Contender, ...]
    ) -> None:
        """A share of a memory limit needs one."""
        steps = [step for step in values.get("timeline", ()) if isinstance(step, MemoryStep)]
        without = [c for c in contenders if c.service.deploy.resources.limits.memory is None]
        if without and any(step.fill_to is not None for step in steps):
            self._problems.add(
                document.entries["timeline"].key_place,
                "timeline",
                f"`memory` fills a share of the limit, and contender `{without[0].name}` has no memory limit",
                cause="the service has no `deploy.resources.limits.memory` (or `mem_limit`)",
                correct="service: {mem_limit: 128m, …}   or a size: memory: {fill: 100m}",
            )

    # --- contenders ---------------------------------------------------------------------------------------------

    def _contenders(self, document: MapNode) -> tuple[Contender, ...]:
        node = document.get("contenders")
        service = self._service(document)
        if node is not None and is_null(node):
            return ()
        if not isinstance(node, MapNode) or not node.entries:
            place = document.place if node is None else node.place
            shown = "nothing" if node is None or isinstance(node, MapNode) else describe(node)
            self._problems.add(
                place,
                "contenders",
                f"this must be a mapping of contenders, but it is {shown}",
                correct="contenders: {single: {runs_as: container}}",
            )
            return ()
        read = [self._contender(name, entry, service) for name, entry in node.entries.items()]
        return tuple(contender for contender in read if contender is not None)

    def _service(self, document: MapNode) -> MapNode | None:
        entry = document.entries.get("service")
        if entry is None:
            self._problems.add(
                document.place,
                "service",
                "`service` is missing",
                cause="it was forgotten, or `extends: kill`",
                correct='service: {image: improved-app:latest, ports: ["8080:3000"]}',
            )
            return None
        return None if is_null(entry.node) else self._services.layer(entry.node, "service")

    def _contender(self, name: str, entry: Entry, service: MapNode | None) -> Contender | None:
        path = f"contenders.{name}"
        if not re.fullmatch(NAME_PATTERN, name):
            self._problems.add(
                entry.key_place,
                path,
                f"{name!r} is not a contender's name: small letters, digits and `-`, at most 40",
                correct="contenders: {orchestrated: {runs_as: service}}",
            )
        if not isinstance(entry.node, MapNode):
            cause = (
                "null takes an inherited contender away, and none is inherited" if is_null(entry.node) else ""
            )
            self._problems.add(
                entry.key_place,
                path,
                f"a contender must be a mapping, but it is {describe(entry.node)}",
                cause=cause,
                correct=f"{name}: {{runs_as: service}}",
            )
            return None
        before = self._problems.noted
        own = CONTENDER.read(
            MapNode({k: e for k, e in entry.node.entries.items() if k in CONTENDER_KEYS}, entry.node.place),
            path,
            Problems(),
        )
        tree = self._services.layer(entry.node, path, CONTENDER)
        if "runs_as" not in entry.node.entries:
            self._problems.add(
                entry.key_place,
                path,
                "`runs_as` is missing",
                cause="it was forgotten",
                correct="runs_as: container   or   runs_as: service",
            )
        runs_as = own.get("runs_as", "service")
        self._check_kind(entry.node, runs_as, path)
        if service is None or tree is None:
            return None
        merged = merge(service, tree.without(*CONTENDER_KEYS))
        assert isinstance(merged, MapNode)
        spec = self._services.build(merged, path, replicas=runs_as == "service")
        autoscale = own.get("autoscale")
        if spec is not None and autoscale is not None and runs_as == "service":
            check_replicas(entry.node, autoscale, spec, path, self._problems)
        if spec is None or self._problems.noted > before:
            return None
        operator = own.get("operator")
        return Contender(
            name=name,
            runs_as=runs_as,
            service=spec,
            operator=None if operator is None else OperatorModel(**operator),
            autoscale=autoscale,
            description=own.get("description", {}),
        )

    def _check_kind(self, node: MapNode, runs_as: str, path: str) -> None:
        deploy = node.get("deploy")
        if runs_as == "container":
            if isinstance(deploy, MapNode) and "replicas" in deploy.entries:
                self._problems.add(
                    deploy.entries["replicas"].key_place,
                    f"{path}.deploy.replicas",
                    "a contender that runs as a container is one container",
                    cause="replicas need an orchestrator",
                    correct="runs_as: service",
                )
            if (autoscale := node.entries.get("autoscale")) is not None and not is_null(autoscale.node):
                self._problems.add(
                    autoscale.key_place,
                    f"{path}.autoscale",
                    "a contender that runs as a container is one container: nothing can be scaled",
                    cause="replicas need an orchestrator",
                    correct="runs_as: service",
                )
        elif (operator := node.entries.get("operator")) is not None and not is_null(operator.node):
            self._problems.add(
                operator.key_place,
                f"{path}.operator",
                "an operator restarts containers only",
                cause="the orchestrator replaces tasks by itself",
                correct="remove `operator`",
            )

    def _expectations(self, node: Node | None, document: MapNode) -> tuple[Expectation, ...]:
        contenders = document.get("contenders")
        names = tuple(contenders.entries) if isinstance(contenders, MapNode) else ()
        if not isinstance(node, SeqNode):
            return ()
        texts = [
            (i, item)
            for i, item in enumerate(node.items)
            if isinstance(item, ScalarNode) and isinstance(item.value, str)
        ]
        read = [parse_expectation(item, f"expect[{i}]", names, self._problems) for i, item in texts]
        return tuple(e for e in read if e is not None)


def _load(values: dict[str, Any]) -> LoadSpec:
    stages = tuple(Stage(**stage) for stage in values.get("stages", ()))
    return LoadSpec(**{**values, "stages": stages})


def _with_contenders_of(document: MapNode, defaults: MapNode) -> MapNode:
    """Take the contenders from another drill, with what its paces say of them; the document's own paces win."""
    kept: dict[str, Entry] = {}
    if (contenders := defaults.entries.get("contenders")) is not None:
        kept["contenders"] = contenders
    paces = defaults.entries.get("pace")
    if paces is not None and isinstance(paces.node, MapNode):
        overlays = {
            name: Entry(
                e.key_place,
                MapNode({k: v for k, v in e.node.entries.items() if k == "contenders"}, e.node.place),
            )
            for name, e in paces.node.entries.items()
            if isinstance(e.node, MapNode)
        }
        kept["pace"] = Entry(paces.key_place, MapNode(overlays, paces.node.place))
    return merge_document(MapNode(kept, document.place), document)
