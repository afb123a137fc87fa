"""From a `service:` in a drill or Compose file to a `ServiceSpec`.

Called by `spec.drill_reader`, layer by layer: first the drill's service, then each contender's overrides, each
checked on its own so that a mistake carries its own path; then the merged tree becomes the spec. Reads Compose
and env files, changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from breakroom.spec.compose_forms import Variables
from breakroom.spec.compose_shapes import SERVICE, SERVICE_FIELDS
from breakroom.spec.env_files import Environment, read_env_text
from breakroom.spec.errors import Place, Problems, nearest
from breakroom.spec.interpolate import interpolate
from breakroom.spec.merge import is_null, merge
from breakroom.spec.nodes import Entry, MapNode, Node, ScalarNode, SeqNode, describe, make
from breakroom.spec.service import (
    Deploy,
    Healthcheck,
    Limits,
    Port,
    Resources,
    RestartPolicy,
    ServiceSpec,
    UpdateConfig,
)
from breakroom.spec.shapes import Fields
from breakroom.spec.yaml_reader import exists, parse_yaml, read_text, yaml_files_beside

__all__ = ["ServiceReader"]

_SHORTCUTS = {"mem_limit": "memory", "cpus": "cpus"}
_UNREAD = frozenset({"build", "container_name"})
_DEFAULT_REPLICAS = 3


class ServiceReader:
    """Reads services for one drill. Files and variables are looked up once."""

    def __init__(self, variables: Mapping[str, str], problems: Problems) -> None:
        self._problems = problems
        self._environment = Environment(variables, problems)
        self._files: dict[Path, MapNode | None] = {}

    def layer(self, node: Node, path: str, shape: Fields = SERVICE) -> MapNode | None:
        """Check one layer: a reference `compose.yaml#web`, a mapping, or a mapping with `from: compose.yaml#web`.

        Returns its tree, with variables replaced and two ways of saying one thing made one; None if there is no
        such tree. Mistakes are noted.
        """
        tree = self._tree(node, path)
        if tree is None:
            return None
        entries = {
            key: Entry(
                e.key_place, interpolate(e.node, self._environment.of, f"{path}.{key}", self._problems)
            )
            if key in SERVICE_FIELDS and key not in _UNREAD
            else e
            for key, e in tree.entries.items()
        }
        tree = MapNode(entries, tree.place)
        shape.read(tree.without("x-name"), path, self._problems)
        return tree

    def _tree(self, node: Node, path: str) -> MapNode | None:
        if isinstance(node, ScalarNode) and isinstance(node.value, str):
            return self._from_compose(node, path)
        if not isinstance(node, MapNode):
            self._problems.add(
                node.place,
                path,
                f"this must be a mapping or compose.yaml#service, but it is {describe(node)}",
                correct='service: {image: improved-app:latest, ports: ["8080:3000"]}',
            )
            return None
        own = self._normalised(node.without("from"), path)
        source = node.get("from")
        if source is None:
            return own
        if not isinstance(source, ScalarNode) or not isinstance(source.value, str):
            self._problems.add(
                source.place,
                f"{path}.from",
                f"this must be text, but it is {describe(source)}",
                correct="from: compose.yaml#web",
            )
            return own
        base = self._from_compose(source, f"{path}.from")
        if base is None:
            return None
        merged = merge(base, own)
        assert isinstance(merged, MapNode)
        return merged

    # --- Compose files ----------------------------------------------------------------------------------------------

    def _from_compose(self, reference: ScalarNode, path: str) -> MapNode | None:
        file_name, _, name = str(reference.value).rpartition("#")
        if not file_name:
            file_name, name = name, ""
        file = Path(reference.place.file).parent / file_name
        services = self._services(file, reference.place, path)
        if services is None:
            return None
        if name not in services.entries:
            known = ", ".join(services.entries)
            near = nearest(name, services.entries) if name else None
            what = (
                f"{file_name} has no service {name!r}"
                if name
                else f"which service of {file_name} is not said"
            )
            self._problems.add(
                reference.place,
                path,
                what,
                cause=f"`{near}` was meant" if near else f"its services are: {known}",
                correct=f"{file_name}#{near or next(iter(services.entries), 'web')}",
            )
            return None
        tree = self._extended(services, name, path, ())
        if tree is not None and "container_name" not in tree.entries:
            # Not a user's key: carries the service's name in its Compose file to `build`.
            tree = tree.with_entry("x-name", Entry(tree.place, make(name, tree.place)))
        return tree

    def _services(self, file: Path, place: Place, path: str) -> MapNode | None:
        if file not in self._files:
            self._files[file] = self._load_services(file, place, path)
        return self._files[file]

    def _load_services(self, file: Path, place: Place, path: str) -> MapNode | None:
        if not exists(file):
            near = nearest(file.name, yaml_files_beside(file))
            self._problems.add(
                place,
                path,
                f"the Compose file {file} does not exist",
                correct=f"{near or 'compose.yaml'}#web",
                cause=f"`{near}` was meant" if near else "the path counts from the file that names it",
            )
            return None
        text = read_text(file, place, self._problems)
        root = parse_yaml(text, str(file), self._problems) if text is not None else None
        if root is None:
            return None
        services = root.get("services") if isinstance(root, MapNode) else None
        if not isinstance(services, MapNode) or not services.entries:
            self._problems.add(
                root.place,
                "services",
                "this Compose file has no services",
                cause="`services:` is missing, empty or not a mapping",
                correct="services:\n  web:\n    image: improved-app:latest",
            )
            return None
        return services

    def _extended(self, services: MapNode, name: str, path: str, seen: tuple[str, ...]) -> MapNode | None:
        """The service with Compose's `extends` followed inside its file."""
        node = services.get(name)
        if not isinstance(node, MapNode):
            self._problems.add(
                services.entries[name].key_place,
                path,
                f"the service `{name}` is not a mapping",
                correct=f"{name}:\n  image: improved-app:latest",
            )
            return None
        own = self._normalised(node.without("extends", "x-name"), path)
        extends = node.get("extends")
        if extends is None:
            return own
        parent = extends.get("service") if isinstance(extends, MapNode) else extends
        parent_name = parent.text if isinstance(parent, ScalarNode) else ""
        wrong = ""
        if isinstance(extends, MapNode) and "file" in extends.entries:
            wrong = "`extends` with another `file` is not supported"
        elif parent_name not in services.entries:
            wrong = f"`extends` names no service of this file: {parent_name!r}"
        elif parent_name in (*seen, name):
            wrong = "`extends` goes in a circle"
        if wrong:
            self._problems.add(
                extends.place,
                f"{path}.extends",
                wrong,
                cause=f"services here: {', '.join(services.entries)}",
                correct="extends: {service: base}   (in the same file)",
            )
            return own
        base = self._extended(services, parent_name, path, (*seen, name))
        if base is None:
            return own
        merged = merge(base, own)
        assert isinstance(merged, MapNode)
        return MapNode(merged.entries, own.place)

    # --- one way to say a thing ---------------------------------------------------------------------------------

    def _normalised(self, node: MapNode, path: str) -> MapNode:
        for key in ("environment", "labels"):
            entry = node.entries.get(key)
            if entry is not None and isinstance(entry.node, SeqNode):
                listed = self._listed(entry.node, f"{path}.{key}")
                node = node.with_entry(key, Entry(entry.key_place, listed))
        for key, limit in _SHORTCUTS.items():
            entry = node.entries.get(key)
            if entry is not None and not is_null(entry.node):
                node = self._moved_limit(node, key, limit, path)
        return node

    def _listed(self, items: SeqNode, path: str) -> MapNode:
        """`- NAME=value` items as a mapping, each entry at its item's place."""
        entries: dict[str, Entry] = {}
        for index, item in enumerate(items.items):
            one = SeqNode((item,), items.place)
            problems = self._problems if not _is_pair(item) else Problems()
            for name, value in Variables().read(one, path, problems).items():
                if name in entries:
                    self._problems.add(
                        item.place,
                        f"{path}[{index}]",
                        f"`{name}` is here twice",
                        cause=f"it is also on line {entries[name].key_place.line}",
                        correct=f"keep one {name}=…",
                    )
                text = ScalarNode(value, value or "", False, item.place)
                entries[name] = Entry(item.place, text)
        return MapNode(entries, items.place)

    def _moved_limit(self, node: MapNode, key: str, limit: str, path: str) -> MapNode:
        entry = node.entries[key]
        steps = ("deploy", "resources", "limits", limit)
        found: Node | None = node
        for step in steps:
            found = found.get(step) if isinstance(found, MapNode) else None
        if isinstance(found, ScalarNode) and isinstance(entry.node, ScalarNode):
            if found.text != entry.node.text:
                self._problems.add(
                    entry.key_place,
                    f"{path}.{key}",
                    f"`{key}` is {entry.node.text}, deploy.resources.limits.{limit} is {found.text}",
                    cause="the two keys mean the same limit",
                    correct=f"keep one of them, with one value: {key}: {entry.node.text}",
                )
            return node.without(key)
        shape = SERVICE_FIELDS[key].shape
        if not isinstance(entry.node, ScalarNode) or (
            "$" not in entry.node.text and not _valid(shape, entry.node)
        ):
            return node  # the check will say what is wrong, at the key that the user wrote
        leaf: Node = entry.node
        for step in reversed(steps):
            leaf = MapNode({step: Entry(entry.key_place, leaf)}, entry.node.place)
        merged = merge(node.without(key), leaf)
        assert isinstance(merged, MapNode)
        return merged

    # --- the spec ---------------------------------------------------------------------------------------------------

    def build(self, tree: MapNode, path: str, *, replicas: bool) -> ServiceSpec | None:
        """The spec of a merged tree; None if a mistake (noted before or now) makes it meaningless.

        `replicas`: it runs under an orchestrator, so a number of replicas applies (3 where nothing says how many).
        """
        before = self._problems.noted
        self._check_complete(tree, path)
        quiet = Problems()
        values = SERVICE.read(tree.without("x-name"), path, quiet)
        if quiet.noted or self._problems.noted > before:
            return None
        environment = self._variables_of(tree, values)
        health = values.get("healthcheck")
        name = tree.get("x-name")
        ports: tuple[Port, ...] = values.get("ports", ())
        if not ports:
            ports = (Port(target=int(values["expose"][0].split("/", 1)[0])),)
        return ServiceSpec(
            name=values.get("container_name") or (name.text if isinstance(name, ScalarNode) else "web"),
            image=values.get("image", ""),
            command=values.get("command", ()),
            entrypoint=values.get("entrypoint", ()),
            environment=environment,
            working_dir=_folder(tree, values.get("working_dir", "")),
            ports=ports,
            healthcheck=Healthcheck(**{"test": ("NONE",), **health}) if health is not None else None,
            restart=values.get("restart", "no"),
            stop_grace_period=values.get("stop_grace_period", 10_000_000_000),
            stop_signal=values.get("stop_signal", "SIGTERM"),
            labels={k: v or "" for k, v in values.get("labels", {}).items()},
            deploy=_deploy(values.get("deploy", {}), replicas=replicas),
        )

    def _check_complete(self, tree: MapNode, path: str) -> None:
        def given(key: str) -> bool:
            node = tree.get(key)
            empty = isinstance(node, SeqNode) and not node.items
            return node is not None and not is_null(node) and not empty

        if not any(map(given, ("image", "command", "entrypoint"))):
            built = given("build")
            place = tree.entries["build"].key_place if built else tree.place
            self._problems.add(
                place,
                "service",
                "breakroom does not build images" if built else "nothing says what to run",
                cause="the image must exist before a drill runs"
                if built
                else "neither `image` nor `command` is there",
                correct="image: improved-app:latest   or   command: python3 -m http.server {port}",
            )
        if not given("ports") and not given("expose"):
            self._problems.add(
                tree.place,
                "service",
                "no port: breakroom does not know where users reach the service",
                cause="`ports` (or `expose`) is missing",
                correct='ports: ["8080:3000"]   (published:target)',
            )
        health = tree.entries.get("healthcheck")
        if health is not None and isinstance(health.node, MapNode):
            disable = health.node.get("disable")
            off = isinstance(disable, ScalarNode) and disable.value is True
            if "test" not in health.node.entries and not off:
                self._problems.add(
                    health.key_place,
                    f"{path}.healthcheck",
                    "the healthcheck has no `test`",
                    cause="an image's own healthcheck is not known here",
                    correct='test: ["HTTP", "/health"]',
                )

    def _variables_of(self, tree: MapNode, values: dict[str, Any]) -> dict[str, str]:
        """`env_file`s in order, then `environment` over them; a name without a value is taken from outside, if set."""
        found: dict[str, str | None] = {}
        for name, required, raw, place in values.get("env_file", ()):
            file = Path(place.file).parent / name
            if not exists(file) and not required:
                continue
            text = read_text(file, place, self._problems)
            if text is not None:
                found.update(read_env_text(text, str(file), self._problems, raw=raw))
        found.update(values.get("environment", {}))
        node = tree.get("environment")
        outside = self._environment.of((node or tree).place.file)
        return {
            name: text
            for name, value in found.items()
            if (text := outside.get(name) if value is None else value) is not None
        }


def _is_pair(item: Node) -> bool:
    return (
        isinstance(item, ScalarNode)
        and item.value is not None
        and not item.text.startswith("=")
        and bool(item.text)
    )


def _valid(shape: Any, node: ScalarNode) -> bool:
    quiet = Problems()
    shape.read(node, "", quiet)
    return not quiet.noted


def _folder(tree: MapNode, text: str) -> str:
    """A relative working_dir counts from the file it stands in."""
    node = tree.get("working_dir")
    if not text or node is None or Path(text).is_absolute():
        return text
    return str((Path(node.place.file).parent / text).absolute())


def _deploy(values: dict[str, Any], *, replicas: bool) -> Deploy:
    limits = values.get("resources", {}).get("limits", {})
    return Deploy(
        replicas=values.get("replicas", _DEFAULT_REPLICAS) if replicas else 1,
        update_config=UpdateConfig(**values.get("update_config", {})),
        rollback_config=UpdateConfig(**values.get("rollback_config", {})),
        restart_policy=RestartPolicy(**values.get("restart_policy", {})),
        resources=Resources(limits=Limits(**limits)),
    )
