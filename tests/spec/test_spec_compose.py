"""A service as Compose writes it, inline or in a Compose file."""

from __future__ import annotations

from pathlib import Path

import pytest

from breakroom.spec.loader import SpecError, SpecErrors, load_drill
from breakroom.spec.service import Port, ServiceSpec

SECOND = 10**9


def service_of(folder: Path, service: str, **env: str) -> ServiceSpec:
    """The orchestrated contender's service, for `service:` given as YAML text."""
    path = folder / "drill.yaml"
    path.write_text(f"extends: kill\nservice: {service}\n", encoding="utf-8")
    return load_drill(path, pace="quick", env=env).contenders[-1].service


def errors_of(folder: Path, service: str, **env: str) -> tuple[SpecError, ...]:
    with pytest.raises(SpecErrors) as caught:
        service_of(folder, service, **env)
    return caught.value.errors


@pytest.mark.parametrize(
    ("written", "port"),
    [
        ('"3000"', Port(target=3000)),
        ("3000", Port(target=3000)),
        ('"8080:3000"', Port(target=3000, published=8080)),
        ("8080:3000", Port(target=3000, published=8080)),
        ('"8080:3000/tcp"', Port(target=3000, published=8080)),
        ('"127.0.0.1:8080:3000"', Port(target=3000, published=8080, host_ip="127.0.0.1")),
        ('"127.0.0.1::3000"', Port(target=3000, host_ip="127.0.0.1")),
        ('"[::1]:8080:3000"', Port(target=3000, published=8080, host_ip="::1")),
        ("{target: 3000, published: 8080, mode: host}", Port(target=3000, published=8080)),
        ('{target: 3000, published: "8080", protocol: tcp}', Port(target=3000, published=8080)),
    ],
)
def test_every_form_of_a_port_is_read(written: str, port: Port, tmp_path: Path) -> None:
    assert service_of(tmp_path, f"{{image: a, ports: [{written}]}}").ports == (port,)


def test_the_first_exposed_port_counts_where_nothing_is_published(tmp_path: Path) -> None:
    assert service_of(tmp_path, '{image: a, expose: ["3000", "4000"]}').ports == (Port(target=3000),)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("python3 -m 'my server' --port {port}", ("python3", "-m", "my server", "--port", "{port}")),
        ("[python3, -c, print(1), 2]", ("python3", "-c", "print(1)", "2")),
        ("null", ()),
    ],
)
def test_a_command_is_split_as_compose_does(written: str, words: tuple[str, ...], tmp_path: Path) -> None:
    assert service_of(tmp_path, f'\n  image: a\n  command: {written}\n  ports: ["80"]').command == words


@pytest.mark.parametrize(
    ("written", "test"),
    [
        (
            "curl -f http://localhost:3000/health || exit 1",
            ("CMD-SHELL", "curl -f http://localhost:3000/health || exit 1"),
        ),
        ('["CMD", "curl", "-f", "x"]', ("CMD", "curl", "-f", "x")),
        ('["HTTP", "/health"]', ("HTTP", "/health")),
        ('["NONE"]', ("NONE",)),
    ],
)
def test_every_form_of_a_health_test_is_read(written: str, test: tuple[str, ...], tmp_path: Path) -> None:
    health = service_of(
        tmp_path, f'\n  image: a\n  ports: ["80"]\n  healthcheck:\n    test: {written}'
    ).healthcheck
    assert health is not None
    assert health.test == test


def test_the_courses_health_service_is_read_as_written(tmp_path: Path) -> None:
    service = service_of(
        tmp_path,
        """
  image: improved-app:latest
  ports: ["8081:3000"]
  healthcheck:
    test: curl -f http://localhost:3000/health || exit 1
    interval: 10s
    retries: 3
    timeout: 5s
  deploy: {replicas: 5}""",
    )
    assert service.healthcheck is not None
    assert (service.healthcheck.interval, service.healthcheck.timeout, service.healthcheck.retries) == (
        10 * SECOND,
        5 * SECOND,
        3,
    )
    assert service.deploy.replicas == 5


def test_a_disabled_healthcheck_needs_no_test(tmp_path: Path) -> None:
    service = service_of(tmp_path, '{image: a, ports: ["80"], healthcheck: {disable: true}}')
    assert not service.has_healthcheck


def test_update_settings_and_limits_are_read(tmp_path: Path) -> None:
    service = service_of(
        tmp_path,
        """
  image: a
  ports: ["80"]
  mem_limit: 512m
  stop_grace_period: 1m30s
  stop_signal: INT
  deploy:
    update_config: {parallelism: 2, delay: 30s, order: start-first, failure_action: rollback, max_failure_ratio: 0.3}
    resources: {limits: {cpus: "0.5"}, reservations: {memory: 1g}}""",
    )
    update = service.deploy.update_config
    assert (update.parallelism, update.delay, update.order) == (2, 30 * SECOND, "start-first")
    assert (update.failure_action, update.max_failure_ratio) == ("rollback", 0.3)
    assert service.deploy.resources.limits.memory == 512 << 20
    assert service.deploy.resources.limits.cpus == 0.5
    assert (service.stop_grace_period, service.stop_signal) == (90 * SECOND, "SIGINT")


def test_environment_wins_over_env_files_and_a_bare_name_comes_from_outside(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text("# comment\nA=1\nexport B='x y'\nC=\"l1\\nl2\"\nD=4 # note\n")
    service = service_of(
        tmp_path,
        '{image: a, ports: ["80"], env_file: a.env, environment: [A=2, E, F]}',
        E="outside",
    )
    assert service.environment == {"A": "2", "B": "x y", "C": "l1\nl2", "D": "4", "E": "outside"}


def test_a_missing_env_file_may_be_optional(tmp_path: Path) -> None:
    written = '{image: a, ports: ["80"], env_file: [{path: no.env, required: false}]}'
    assert service_of(tmp_path, written).environment == {}


def test_numbers_and_booleans_in_the_environment_keep_their_text(tmp_path: Path) -> None:
    service = service_of(tmp_path, '{image: a, ports: ["80"], environment: {A: 1.50, B: true, C: 010}}')
    assert service.environment == {"A": "1.50", "B": "true", "C": "010"}


@pytest.mark.parametrize(
    ("written", "env", "image"),
    [
        ("a:${TAG}", {"TAG": "1"}, "a:1"),
        ("a:$TAG-x", {"TAG": "1"}, "a:1-x"),
        ("a:${TAG:-2}", {}, "a:2"),
        ("a:${TAG:-2}", {"TAG": ""}, "a:2"),
        ("a:${TAG-2}", {"TAG": ""}, "a:"),
        ("a:${TAG:-${OTHER:-3}}", {}, "a:3"),
        ("a${TAG:+:new}", {"TAG": "1"}, "a:new"),
        ("a${TAG:+:new}", {}, "a"),
        ("a:${TAG:?needed}", {"TAG": "1"}, "a:1"),
        ("a:$$TAG", {}, "a:$TAG"),
    ],
)
def test_every_form_of_a_variable_is_replaced(
    written: str, env: dict[str, str], image: str, tmp_path: Path
) -> None:
    assert service_of(tmp_path, f"{{image: '{written}', ports: [\"80\"]}}", **env).image == image


def test_a_required_variable_says_its_reason(tmp_path: Path) -> None:
    (error,) = errors_of(tmp_path, '\n  image: "a:${TAG:?which version}"\n  ports: ["80"]')
    assert "which version" in error.what
    assert error.line == 3


def test_a_variable_can_be_a_number_or_a_duration(tmp_path: Path) -> None:
    written = '{image: a, ports: ["${P}:3000"], deploy: {replicas: "${N}"}, stop_grace_period: "${G:-2s}"}'
    service = service_of(tmp_path, written, P="8081", N="6")
    assert (service.ports[0].published, service.deploy.replicas, service.stop_grace_period) == (
        8081,
        6,
        2 * SECOND,
    )


def test_a_dot_env_file_beside_the_drill_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TAG=file\nNAME=app\n")
    assert service_of(tmp_path, '{image: "$NAME:$TAG", ports: ["80"]}', TAG="outside").image == "app:outside"


COMPOSE = """
name: shop
services:
  base:
    image: base:1
    environment: [A=1, B=2]
    ports: ["80"]
  web:
    extends: {service: base}
    environment: {B: "3"}
    networks: [front]
  plain:
    image: plain:1
    ports: ["8080:3000"]
networks: {front: {}}
volumes: {}
"""


def test_a_service_of_a_compose_file_is_used_and_gives_its_name(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    service = service_of(tmp_path, "compose.yaml#plain")
    assert (service.name, service.image) == ("plain", "plain:1")


def test_composes_extends_is_followed_inside_the_file(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    service = service_of(tmp_path, "{from: compose.yaml#web, networks: null}")
    assert (service.name, service.image, service.environment) == ("web", "base:1", {"A": "1", "B": "3"})


def test_overrides_beside_from_are_laid_over_the_compose_service(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    service = service_of(tmp_path, "{from: compose.yaml#plain, deploy: {replicas: 7}, container_name: shop}")
    assert (service.image, service.deploy.replicas, service.name) == ("plain:1", 7, "shop")


def test_an_unsupported_key_in_a_compose_file_is_named_with_that_files_line(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (error,) = errors_of(tmp_path, "compose.yaml#web")
    assert (Path(error.file).name, error.line) == ("compose.yaml", 11)
    assert "Compose knows `networks`" in error.what


@pytest.mark.parametrize("reference", ["compose.yaml", "compose.yaml#", "compose.yaml#wbe"])
def test_a_reference_without_a_right_service_lists_those_there(reference: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (error,) = errors_of(tmp_path, reference)
    assert error.line == 2
    assert "web" in error.cause


def test_a_compose_path_counts_from_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "deep" / ".env").write_text("UNUSED=1\n")
    assert service_of(tmp_path, "deep/compose.yaml#plain").image == "plain:1"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("services: {}\n", "no services"),
        ("- a\n", "no services"),
        ("services: {web: 5}\n", "is not a mapping"),
        ("services: {web: {extends: {service: web}}}\n", "circle"),
        ("services: {web: {extends: {service: other, file: b.yaml}}}\n", "another `file`"),
        ("services: {web: {extends: nothing}}\n", "names no service"),
        ("services: {web: [}\n", "not YAML"),
    ],
)
def test_a_wrong_compose_file_is_explained(content: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(content)
    errors = errors_of(tmp_path, "compose.yaml#web")
    assert any(what in e.what for e in errors)


def test_composes_own_extension_keys_and_harmless_keys_are_accepted(tmp_path: Path) -> None:
    written = '{image: a, ports: ["80"], x-note: 1, hostname: h, init: true, logging: {driver: x}, tty: true}'
    assert service_of(tmp_path, written).image == "a"


def test_build_is_accepted_beside_what_says_what_to_run(tmp_path: Path) -> None:
    assert service_of(tmp_path, '{build: {context: .}, image: a, ports: ["80"]}').image == "a"


def test_a_relative_working_dir_counts_from_its_file(tmp_path: Path) -> None:
    assert service_of(tmp_path, '{command: x, ports: ["80"], working_dir: app}').working_dir == str(
        tmp_path / "app"
    )
