"""One error per mistake, at its line, with its likely cause and the correct form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from breakroom.spec.drill import Drill
from breakroom.spec.loader import SpecErrors, load_drill

DATA = Path(__file__).parent / "data"

SERVICE = 'service: {image: improved-app:latest, ports: ["8080:3000"]}\n'
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(text: str) -> Path:
        path = tmp_path / "my-drill.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def load(path: Path, pace: str = "quick", **env: str) -> Drill:
    return load_drill(path, pace=pace, env=env)


def errors_of(path: Path, pace: str = "quick", **env: str) -> SpecErrors:
    with pytest.raises(SpecErrors) as caught:
        load(path, pace, **env)
    return caught.value


def test_five_different_mistakes_give_five_errors_with_line_and_correct_form() -> None:
    errors = errors_of(DATA / "five-mistakes.yaml").errors
    assert [(e.line, e.path) for e in errors] == [
        (8, "service.deploy.replica"),
        (12, "service.healthcheck.interval"),
        (15, "service.networks"),
        (20, "timeline[0].kill.signal"),
        (23, "expect[0]"),
    ]
    forms = [e.correct for e in errors]
    assert forms[0] == "replicas: 3"
    assert forms[1].startswith("interval: 10s")
    assert "networks: null" in forms[2]
    assert forms[3] == "signal: SIGKILL"
    assert forms[4] == "orchestrated.longest_outage <= 1s"
    assert all(e.cause for e in errors)
    assert all(e.file.endswith("five-mistakes.yaml") for e in errors)


def test_the_message_shows_every_mistake_with_file_line_cause_and_form() -> None:
    text = str(errors_of(DATA / "five-mistakes.yaml"))
    assert text.startswith("5 mistakes found")
    assert "five-mistakes.yaml:12:15: service.healthcheck.interval: '10' is not a duration" in text
    assert "likely cause: a number without its unit" in text
    assert "correct form: interval: 10s" in text


# (text after `extends: kill`, line of the mistake, a part of the message, a part of the correct form)
MISTAKES = {
    "unknown drill key": ("prob: {rate: 50/s}\n", 2, "unknown key `prob`", "probe:"),
    "tab": ("probe:\n\trate: 50/s\n", 3, "not YAML", "spaces"),
    "duplicate key": ("probe: {rate: 5/s}\nprobe: {rate: 6/s}\n", 3, "twice", "keep one"),
    "empty value": ("probe:\n", 2, "`probe` has no value", "probe:"),
    "rate of zero": ("probe: {rate: 0}\n", 2, "not a rate", "rate: 100/s"),
    "infinite rate": ("probe: {rate: .inf}\n", 2, "not a rate", "rate: 100/s"),
    "timeout of zero": ("probe: {timeout: 0s}\n", 2, "too short", "timeout: 2s"),
    "path without slash": ("probe: {path: health}\n", 2, "must begin with `/`", "path: /"),
    "path with space": ("probe: {path: /a b}\n", 2, "%-encoded", "path: /"),
    "status": ("probe: {expect_status: 99}\n", 2, "outside of 100 to 599", "expect_status: 200"),
    "availability above 1": ("steady_state: {availability: 200%}\n", 2, "not a ratio", "99.9%"),
    "within shorter": ("recovered: {stable: 10s, within: 5s}\n", 2, "shorter than `stable`", "within: 60s"),
    "load of the other model": (
        "load: {model: closed, rate: 5/s}\n",
        2,
        "belongs to the open model",
        "model: open",
    ),
    "rate and stages": (
        "load: {model: open, rate: 5/s, stages: [{rate: 1/s, duration: 1s}]}\n",
        2,
        "both here",
        "keep one",
    ),
    "yes": ("load: {keep_alive: yes}\n", 2, "true or false", "keep_alive: true"),
    "header name": ('load: {headers: {"a b": c}}\n', 2, "header's name", "Accept"),
    "step without action": ("timeline: [{at: 0s}]\n", 2, "this one has none", "kill:"),
    "step without time": ("timeline: [{kill: {tasks: 1}}]\n", 2, "`at` is missing", "at: 0s"),
    "unknown action": ("timeline: [{at: 0s, kil: {}}]\n", 2, "unknown key `kil`", "kill:"),
    "no steps": ("timeline: []\n", 2, "the list is empty", "kill"),
    "kill none": ("timeline: [{at: 0s, kill: {tasks: 0}}]\n", 2, "outside of 1", "tasks: 1"),
    "signal that kills nothing": (
        "timeline: [{at: 0s, kill: {signal: SIGSTOP}}]\n",
        2,
        "does not end a process",
        "SIGKILL",
    ),
    "signal by number": ("timeline: [{at: 0s, kill: {signal: 9}}]\n", 2, "not a signal", "SIGKILL"),
    "expect without comparison": ("expect: [orchestrated.outage]\n", 2, "not a condition", "OP VALUE"),
    "expect without unit": ('expect: ["single.outage >= 5"]\n', 2, "compared with a duration", ">= 5s"),
    "expect of unknown metric": (
        'expect: ["single.outages >= 5s"]\n',
        2,
        "no metric `outages`",
        "single.outage >=",
    ),
    "expect with =": ('expect: ["single.outage = 5s"]\n', 2, "no comparison", "== 5s"),
    "expect of ratio": ('expect: ["single.availability > 5s"]\n', 2, "a ratio", "99.9%"),
    "expect of count": ('expect: ["single.failed_requests < 1.5"]\n', 2, "a whole number", "< 0"),
    "operator of a service": ("contenders: {orchestrated: {operator: {}}}\n", 2, "containers only", "remove"),
    "replicas of a container": (
        "contenders: {single: {deploy: {replicas: 2}}}\n",
        2,
        "one container",
        "runs_as: service",
    ),
    "autoscale of a container": (
        "contenders: {single: {autoscale: {capacity: 120/s}}}\n",
        2,
        "nothing can be scaled",
        "runs_as: service",
    ),
    "least above most": (
        "contenders: {orchestrated: {autoscale: {capacity: 9/s, min: 6, max: 2}}}\n",
        2,
        "`min` (6) is above `max` (2)",
        "min: 2, max: 6",
    ),
    "least above the default": (
        "contenders: {orchestrated: {autoscale: {capacity: 9/s, min: 12}}}\n",
        2,
        "the other has its default",
        "min: 2, max: 6",
    ),
    "replicas outside of autoscale": (
        "contenders: {orchestrated: {autoscale: {capacity: 9/s, min: 4}}}\n",
        2,
        "starts with 3 replicas, outside of 4 to 10",
        "replicas: 4",
    ),
    "utilisation without capacity": (
        "contenders: {orchestrated: {autoscale: {target: 70%}}}\n",
        2,
        "`capacity` is missing",
        "capacity: 120/s",
    ),
    "latency with capacity": (
        "contenders: {orchestrated: {autoscale: {metric: latency, target: 1s, capacity: 9/s}}}\n",
        2,
        "belongs to `metric: utilisation`",
        "metric: latency",
    ),
    "latency without target": (
        "contenders: {orchestrated: {autoscale: {metric: latency}}}\n",
        2,
        "`target` is missing",
        "target: 200ms",
    ),
    "latency against a ratio": (
        "contenders: {orchestrated: {autoscale: {metric: latency, target: 70%}}}\n",
        2,
        "a ratio belongs to `metric: utilisation`",
        "target: 200ms",
    ),
    "utilisation against a duration": (
        "contenders: {orchestrated: {autoscale: {capacity: 9/s, target: 200ms}}}\n",
        2,
        "a duration belongs to `metric: latency`",
        "target: 70%",
    ),
    "target of zero": (
        "contenders: {orchestrated: {autoscale: {capacity: 9/s, target: 0}}}\n",
        2,
        "a target of zero",
        "target: 70%",
    ),
    "target of a list": (
        "contenders: {orchestrated: {autoscale: {capacity: 9/s, target: [1]}}}\n",
        2,
        "must be one value",
        "target: 70%",
    ),
    "unknown cooldown": (
        "contenders: {orchestrated: {autoscale: {capacity: 9/s, cooldown: {dwn: 1s}}}}\n",
        2,
        "unknown key `dwn`",
        "down:",
    ),
    "new contender without kind": (
        "contenders: {mine: {restart: always}}\n",
        2,
        "`runs_as` is missing",
        "runs_as:",
    ),
    "contender that is nothing": ("contenders: {mine: null}\n", 2, "none is inherited", "runs_as"),
    "contender's name": (
        "contenders: {My one: {runs_as: service}}\n",
        2,
        "not a contender's name",
        "orchestrated",
    ),
    "contender's own mistake": (
        "contenders: {single: {restart: maybe}}\n",
        2,
        "not a restart policy",
        "restart:",
    ),
    "pace that is not a mapping": ("pace: {quick: 3s}\n", 2, "must be a mapping", "quick:"),
    "pace that extends": ("pace: {quick: {extends: kill}}\n", 2, "cannot change `extends`", "top level"),
    "mistake in another pace": ("pace:\n  course:\n    probe: {rate: fast}\n", 4, "not a rate", "100/s"),
    "title by no language": ("title: {english: x}\n", 2, "not a language code", "en:"),
    "name": ("name: My Drill\n", 2, "not a name", "my-drill"),
    "service is a list": ("service: [a]\n", 2, "must be a mapping", "image:"),
    "service is a number": ("service: 5\n", 2, "must be a mapping", "image:"),
}


@pytest.mark.parametrize("case", MISTAKES, ids=str)
def test_a_mistake_in_a_drill_gives_one_error_at_its_line(case: str, write: Write) -> None:
    text, line, what, correct = MISTAKES[case]
    (error,) = errors_of(write(f"extends: kill\n{text}")).errors
    assert error.line == line
    assert what in f"{error.what} {error.cause}"
    assert correct in error.correct


SERVICE_MISTAKES = {
    "nothing to run": ('service: {ports: ["80"]}', "nothing says what to run", "command:"),
    "build alone": ('service: {build: ., ports: ["80"]}', "does not build images", "image:"),
    "no port": ("service: {image: a}", "no port", "ports:"),
    "empty ports": ("service: {image: a, ports: []}", "no port", "ports:"),
    "range": ('service: {image: a, ports: ["3000-3005"]}', "not a port", "8080:3000"),
    "udp": ('service: {image: a, ports: ["53:53/udp"]}', "not a port", "8080:3000"),
    "large port": ('service: {image: a, ports: ["8080:70000"]}', "outside of 1 to 65535", "8080:3000"),
    "very long port": (f'service: {{image: a, ports: ["{"9" * 6000}"]}}', "not a port", "8080:3000"),
    "long port without target": (
        "service: {image: a, ports: [{published: 80}]}",
        "`target` is missing",
        "target:",
    ),
    "open quote": ('service: {command: "sh -c \'a", ports: ["80"]}', "cannot be split", "command:"),
    "command of a mapping": ('service: {command: {a: b}, ports: ["80"]}', "must be a command", "command:"),
    "kind of test missing": (
        'service: {image: a, ports: ["80"], healthcheck: {test: [curl, x]}}',
        "must begin with",
        '["CMD", "curl", "x"]',
    ),
    "shell test split": (
        'service: {image: a, ports: ["80"], healthcheck: {test: [CMD-SHELL, curl, x]}}',
        "exactly one text",
        "CMD-SHELL",
    ),
    "healthcheck without test": (
        'service: {image: a, ports: ["80"], healthcheck: {retries: 2}}',
        "no `test`",
        "test:",
    ),
    "retries 0": (
        'service: {image: a, ports: ["80"], healthcheck: {test: x, retries: 0}}',
        "outside of 1",
        "retries: 3",
    ),
    "interval 0": (
        'service: {image: a, ports: ["80"], healthcheck: {test: x, interval: 0s}}',
        "too short",
        "interval: 10s",
    ),
    "replicas below 0": (
        'service: {image: a, ports: ["80"], deploy: {replicas: -1}}',
        "outside of 0",
        "replicas: 3",
    ),
    "failure ratio": (
        'service: {image: a, ports: ["80"], deploy: {update_config: {max_failure_ratio: 1.5}}}',
        "not a ratio",
        "max_failure_ratio:",
    ),
    "rollback on rollback": (
        'service: {image: a, ports: ["80"], deploy: {rollback_config: {failure_action: rollback}}}',
        "not one of pause, continue",
        "failure_action:",
    ),
    "global": (
        'service: {image: a, ports: ["80"], deploy: {mode: global}}',
        "not one of replicated",
        "mode: replicated",
    ),
    "restart of a boolean": (
        'service: {image: a, ports: ["80"], restart: false}',
        "yes/no value false",
        '"no"',
    ),
    "restart with a word": (
        'service: {image: a, ports: ["80"], restart: "on-failure:x"}',
        "restart policy",
        "on-failure:3",
    ),
    "restart's condition": ('service: {image: a, ports: ["80"], restart: any}', "restart policy", "always"),
    "condition's restart": (
        'service: {image: a, ports: ["80"], deploy: {restart_policy: {condition: always}}}',
        "not one of none, on-failure, any",
        "condition:",
    ),
    "two limits": (
        'service: {image: a, ports: ["80"], mem_limit: 64m, deploy: {resources: {limits: {memory: 1g}}}}',
        "`mem_limit` is 64m",
        "keep one",
    ),
    "wrong limit": ('service: {image: a, ports: ["80"], mem_limit: much}', "not a size", "mem_limit: 512m"),
    "endless cpus": ('service: {image: a, ports: ["80"], cpus: .inf}', "too large", "cpus: 0.5"),
    "stop signal": ('service: {image: a, ports: ["80"], stop_signal: SIGTREM}', "not a signal", "SIGTERM"),
    "list item without name": (
        'service: {image: a, ports: ["80"], environment: ["=x"]}',
        "must be NAME=value",
        "NAME=value",
    ),
    "variable twice": (
        'service: {image: a, ports: ["80"], environment: [A=1, A=2]}',
        "`A` is here twice",
        "keep one",
    ),
    "unset variable": ('service: {image: "a:$TAG", ports: ["80"]}', "`TAG` is not set", "${TAG:-value}"),
    "misplaced key": ('service: {image: a, ports: ["80"], replicas: 3}', "does not belong here", "deploy:"),
    "Compose's extends": (
        'service: {image: a, ports: ["80"], extends: b}',
        "Compose knows `extends`",
        "remove",
    ),
    "pids": (
        'service: {image: a, ports: ["80"], deploy: {resources: {limits: {pids: 5}}}}',
        "Compose knows `pids`",
        "remove",
    ),
    "missing env_file": ('service: {image: a, ports: ["80"], env_file: no.env}', "cannot be read", "name a"),
    "impossible Compose file": (f"service: {'x' * 5000}#web", "does not exist", "compose.yaml#web"),
    "no such Compose file": ("service: no.yaml#web", "does not exist", "compose.yaml#web"),
    "NUL": ('service: {command: "a\\0b", ports: ["80"]}', "no file or command can hold", "leave it out"),
}


@pytest.mark.parametrize("case", SERVICE_MISTAKES, ids=str)
def test_a_mistake_in_a_service_gives_one_error_though_three_contenders_read_it(
    case: str, write: Write
) -> None:
    text, what, correct = SERVICE_MISTAKES[case]
    (error,) = errors_of(write(f"extends: kill\n\n{text}\n")).errors
    assert error.line == 3
    assert what in error.what
    assert correct in error.correct


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (b"", 1, "the file is empty"),
        (b"# nothing\n", 1, "the file is empty"),
        (b"\xff\xfe", 1, "not UTF-8"),
        (b"extends: kill\ntitle: \xe9\n", 2, "not UTF-8"),
        (b"- a\n- b\n", 1, "a drill file is a mapping"),
        (b"just text", 1, "a drill file is a mapping"),
        (b"a: 'x", 1, "not YAML"),
        (b"a: 1\n---\nb: 2\n", 2, "not YAML"),
        (b"a: *b\n", 1, "undefined alias"),
        (b"a: &x [*x]\n", 1, "an anchor contains itself"),
        (b"a: \x00", 1, "control character"),
        (b"[" * 3000, 1, "nested"),
        (b"[" * 100 + b"]" * 100, 1, "nested more than"),
        (b"? [a, b]\n: 1\n", 1, "a key must be a single word"),
        (b"extends: !!python/object:os.system x\n", 1, "tag"),
        (b"extends: kill\n<<: 5\n", 2, "`<<` needs a mapping"),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else None,
)
def test_a_file_that_is_no_drill_is_refused_with_a_place(
    content: bytes, line: int, what: str, tmp_path: Path
) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(content)
    assert any(e.line == line and what in e.what for e in errors_of(path).errors)


def test_aliases_that_multiply_are_refused(write: Write) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    (error,) = errors_of(write("\n".join(lines))).errors
    assert "expands to more than" in error.what


def test_a_missing_file_suggests_the_near_one(tmp_path: Path) -> None:
    (tmp_path / "my-drill.yaml").write_text("extends: kill\n")
    (error,) = errors_of(tmp_path / "my-dril.yaml").errors
    assert "does not exist" in error.what
    assert error.correct == str(tmp_path / "my-drill.yaml")


def test_a_missing_name_suggests_the_near_drill() -> None:
    with pytest.raises(SpecErrors) as caught:
        load_drill("kil", pace="quick", env={})
    assert caught.value.errors[0].correct == "kill"


def test_a_directory_is_named_as_such(tmp_path: Path) -> None:
    assert "is a directory" in errors_of(tmp_path).errors[0].what


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000])
def test_an_impossible_name_is_an_error_and_no_traceback(name: str) -> None:
    with pytest.raises(SpecErrors):
        load_drill(name, pace="quick", env={})


def test_a_very_large_file_is_refused(write: Write) -> None:
    assert "larger than" in errors_of(write("#" * (2 << 20))).errors[0].what


def test_an_unknown_pace_names_those_there(write: Write) -> None:
    (error,) = errors_of(write("extends: kill\npace: {night: {}}\n"), pace="long").errors
    assert {"night", "quick", "course"} <= set(error.cause.replace(",", "").split())


def test_a_mistake_in_an_extended_file_names_that_file_and_its_line(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("extends: kill\n\nprobe:\n  rate: fast\n")
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\ntitle: mine\n")
    (error,) = errors_of(tmp_path / "mine.yaml").errors
    assert (Path(error.file).name, error.line) == ("base.yaml", 4)


def test_extends_in_a_circle_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n" + SERVICE)
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    assert any("circle" in e.what for e in errors_of(tmp_path / "a.yaml").errors)


def test_errors_come_in_the_order_of_the_lines(write: Write) -> None:
    text = "extends: kill\nexpect: [x]\nprobe: {rate: fast}\ntimeline: [{at: 0s}]\nservice: {image: a}\n"
    lines = [e.line for e in errors_of(write(text)).errors]
    assert lines == [2, 3, 4, 5]


def test_a_drill_of_its_own_needs_service_and_timeline(write: Write) -> None:
    whats = [e.what for e in errors_of(write("title: x\n")).errors]
    assert any("`timeline` is missing" in w for w in whats)
    assert any("`service` is missing" in w for w in whats)
    assert len(whats) == 2


ACTS = """
service: {image: improved-app:latest, ports: ["3000"], deploy: {replicas: 3}}
contenders: {one: {runs_as: container}, many: {runs_as: service}}
timeline:
"""


@pytest.mark.parametrize(
    ("steps", "path", "says"),
    [
        ("- {at: 0s, scale: {replicas: 3}}", "timeline[0].scale", "`many` has 3 replicas by then"),
        (
            "- {at: 2s, scale: {replicas: 6}}\n- {at: 1s, scale: {replicas: 6}}",
            "timeline[0].scale",
            "`many` has 6 replicas by then",
        ),
        ("- {at: 0s, rollback: }", "timeline[0].rollback", "no release to go back to"),
        (
            '- {at: 1s, rollback: }\n- {at: 2s, update: {image: "improved-app:v2"}}',
            "timeline[0].rollback",
            "no release to go back to",
        ),
        ('- {at: 0s, update: {image: "improved-app:latest"}}', "timeline[0].update", "nothing is new"),
        ("- {at: 0s, oom: }", "timeline[0].oom", "`one` has no memory limit"),
        ("- {at: 0s, request: {path: /fail, proof_status: 500}}", "timeline[0].request", "`proof_path`"),
    ],
)
def test_an_act_that_could_only_fail_is_a_mistake(write: Write, steps: str, path: str, says: str) -> None:
    (error,) = errors_of(write(ACTS + steps)).errors
    assert (error.path, bool(error.line), bool(error.cause), bool(error.correct)) == (path, True, True, True)
    assert says in error.what


@pytest.mark.parametrize(
    "steps",
    [
        "- {at: 0s, scale: {replicas: 6}}\n- {at: 1s, scale: {replicas: 3}}",
        '- {at: 2s, rollback: }\n- {at: 1s, update: {image: "improved-app:v2"}}',
        '- {at: 0s, update: {image: "improved-app:v2"}}\n- {at: 1s, update: {image: "improved-app:latest"}}',
    ],
)
def test_acts_in_their_order_are_none(write: Write, steps: str) -> None:
    load(write(ACTS + steps))


def test_an_autoscaled_service_may_be_scaled_to_any_number(write: Write) -> None:
    rule = "many: {runs_as: service, autoscale: {capacity: 10/s}}"
    load(write(ACTS.replace("many: {runs_as: service}", rule) + "- {at: 5s, scale: {replicas: 3}}"))


def test_an_unknown_key_where_there_are_none_is_told_to_go(write: Write) -> None:
    text = ACTS + '- {at: 0s, update: {image: "improved-app:v2"}}\n- {at: 1s, rollback: {to: v1}}'
    (error,) = errors_of(write(text)).errors
    assert error.correct == "remove `to`: there are no keys here"
