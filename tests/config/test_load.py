"""The config: what is right loads, what is wrong names file, key and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from infdiag_tui.config import ModelConfig, Via
from infdiag_tui.config.load import ConfigError, TargetFlags, apply_flags, find_config, load_config

GOOD = """
[models.fraud-scorer.endpoint]
url = "http://model:8000/predict"
body = { features = [1, 2.5] }
body_file = "golden.json"

[models.fraud-scorer.kubernetes]
namespace = "prod"
selector = "app=fraud-scorer"

[thresholds]
jitter_ratio = 4
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "infdiag.toml"
    path.write_text(text)
    return path


def test_a_good_file_loads_with_defaults_and_absolute_paths(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, GOOD))
    model = config.models["fraud-scorer"]
    assert model.endpoint is not None
    assert model.endpoint.body == {"features": [1, 2.5]}
    assert model.endpoint.rate_per_s == 1.0
    assert model.endpoint.body_file == tmp_path / "golden.json"
    assert model.kubernetes is not None
    assert model.kubernetes.selector == "app=fraud-scorer"
    assert config.thresholds.jitter_ratio == 4


def test_only_what_the_file_says_counts_as_written(tmp_path: Path) -> None:
    model = load_config(write(tmp_path, "[models.m.gpu]\ninterval_s = 2")).models["m"]
    assert model.gpu.model_fields_set == {"interval_s"}
    assert model.model_fields_set == {"gpu"}
    assert apply_flags(model, TargetFlags(pid=1)).gpu.model_fields_set == {"interval_s"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[models.m.endpoint]\nurll = "http://a/"', ("models.m.endpoint.urll", "unknown key", "Did you mean 'url'?")),
        ("[models.m.endpoint]\nrate_per_s = 1", ("models.m.endpoint.url", "missing")),
        ('[models.m.endpoint]\nurl = "ftp://a/"', ("models.m.endpoint.url", "no http:// or https:// URL")),
        (
            '[models.m.endpoint]\nurl = "http://a/"\nrate_per_s = 5000',
            ("models.m.endpoint.rate_per_s", "less than or equal to 50 (got 5000"),
        ),
        ('[models.m.endpoint]\nurl = ""', ("models.m.endpoint.url", "no http:// or https:// URL")),
        ('[models.m.endpoint]\nurl = "http:///p"', ("models.m.endpoint.url", "names no host")),
        ('[models.m.endpoint]\nurl = "http://m:99999/"', ("models.m.endpoint.url", "Port out of range")),
        ('[models.m.endpoint]\nurl = "http://a b/"', ("models.m.endpoint.url", "blanks")),
        ('[models.m.gpu]\ndcgm_url = "node:9400"', ("models.m.gpu.dcgm_url", "no http:// or https:// URL")),
        ('[models.m.kubernetes]\nnamespace = "a/../b"', ("models.m.kubernetes.namespace", "is no namespace")),
        ('[models.m.kubernetes]\nnamespce = "x"', ("models.m.kubernetes.namespce", "Did you mean 'namespace'?")),
        ('[models.m.ssh]\nuser = "ops"', ("models.m.ssh.host", "missing")),
        ('[models.m.ssh]\nhost = "h"\nidentity = "k"', ("models.m.ssh.identity", "Did you mean 'identity_file'?")),
        ('[models.m.kubernetes]\nexec_pods = "x"', ("models.m.kubernetes.exec_pods", "Did you mean 'exec_pod'?")),
        ("[threshold]\njitter_ratio = 3", ("threshold", "Did you mean 'thresholds'?")),
        ('[models.m.gpu]\nnvml = "perhaps"', ("models.m.gpu.nvml", "got 'perhaps'")),
        (
            '[models.m.metrics.names]\nqueue_dept = "q"',
            ("models.m.metrics.names", "'queue_dept', which is no stage or signal", "Did you mean 'queue_depth'?"),
        ),
        ('[models.m.metrics.names]\npreprocess = "a b"', ("models.m.metrics.names", "'a b' is no metric")),
        ('[models.m.metrics]\nurls = ["model:8002"]', ("models.m.metrics.urls.0", "no http:// or https:// URL")),
        ("[models.m.metrics]\ninterval_s = 0", ("models.m.metrics.interval_s", "greater than or equal to 1")),
        ("models = 3", ("models",)),
        ("[models.m\n", ("not valid TOML", "line 1")),
    ],
)
def test_a_wrong_file_names_itself_the_key_and_the_remedy(tmp_path: Path, text: str, said: tuple[str, ...]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    for part in said:
        assert part in message


def test_a_file_that_is_no_text_says_so(tmp_path: Path) -> None:
    path = tmp_path / "infdiag.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(path)


def test_every_wrong_key_gets_a_line_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path, "[thresholds]\njitter_ratio = 0\nerror_rate = 9\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert len(str(caught.value).splitlines()) == 2


def test_a_named_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such config file"):
        find_config(str(tmp_path / "nowhere.toml"))


def test_the_folder_comes_before_the_users_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    assert find_config(None) is None
    users = tmp_path / "home/infdiag/infdiag.toml"
    users.parent.mkdir(parents=True)
    users.write_text("")
    assert find_config(None) == users
    (here / "infdiag.toml").write_text("")
    assert find_config(None) == here / "infdiag.toml"


def test_only_flags_that_were_typed_change_the_config(tmp_path: Path) -> None:
    model = load_config(write(tmp_path, GOOD)).models["fraud-scorer"]
    changed = apply_flags(model, TargetFlags(endpoint="http://other/predict", logs=("a.log",)))
    assert changed.endpoint is not None
    assert changed.endpoint.url == "http://other/predict"
    assert changed.endpoint.body == {"features": [1, 2.5]}
    assert changed.kubernetes == model.kubernetes
    assert changed.logs.files == (Path("a.log").absolute(),)


def test_keys_and_host_keys_of_ssh_lie_beside_the_config(tmp_path: Path) -> None:
    text = '[models.m.ssh]\nhost = "gpu-1"\nidentity_file = "keys/id"\nknown_hosts = "hosts"\n'
    ssh = load_config(write(tmp_path, text)).models["m"].ssh
    assert ssh is not None
    assert (ssh.identity_file, ssh.known_hosts) == (tmp_path / "keys/id", tmp_path / "hosts")
    assert (ssh.user, ssh.port) == ("", None)


@pytest.mark.parametrize(
    ("typed", "user", "host", "port"),
    [
        ("gpu-1", "", "gpu-1", None),
        ("Ops@GPU-1.example:2222", "Ops", "GPU-1.example", 2222),
        ("a@b@host", "", "", None),
        ("[::1]:22", "", "::1", 22),
        ("host:", "", "", None),
        ("host:99999", "", "", None),
        ("ops@", "", "", None),
    ],
)
def test_the_ssh_flag_is_user_host_and_port(typed: str, user: str, host: str, port: int | None) -> None:
    if not host:
        with pytest.raises(ConfigError, match="command line: "):
            apply_flags(ModelConfig(), TargetFlags(ssh=typed))
        return
    ssh = apply_flags(ModelConfig(), TargetFlags(ssh=typed)).ssh
    assert ssh is not None
    assert (ssh.user, ssh.host, ssh.port) == (user, host, port)


def test_a_wrong_flag_value_is_told_as_such() -> None:
    with pytest.raises(ConfigError, match=r"command line: endpoint\.url"):
        apply_flags(ModelConfig(), TargetFlags(endpoint="model:8000"))


def test_a_password_in_a_wrong_url_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as failure:
        load_config(write(tmp_path, '[models.m.endpoint]\nurl = "htp://me:hunter2@m/"'))
    assert "hunter2" not in str(failure.value)


@pytest.mark.parametrize(
    "text",
    [
        '[models.m.endpoint]\nurl = "http://m/"\n[models.m.endpoint.headers]\nAuthorization = 73317331\n',
        '[models.m.endpoint]\nurl = "ftp://me:73317331@m/"\n',
    ],
)
def test_an_error_never_shows_a_secret(tmp_path: Path, text: str) -> None:
    path = tmp_path / "infdiag.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "models.m.endpoint" in str(caught.value)
    assert "73317331" not in str(caught.value)


def test_an_endpoint_in_a_cluster_goes_through_the_proxy_unless_it_says_otherwise(tmp_path: Path) -> None:
    text = """
    [models.a.endpoint]
    url = "k8s://ml/scorer:8000/predict"
    health_url = "k8s://ml/scorer:8001/ready"
    [models.b.endpoint]
    url = "k8s://ml/pod/scorer-0:8000/predict"
    via = "port-forward"
    [models.b.metrics]
    urls = ["k8s://ml/pod/scorer-0:9400/metrics"]
    """
    config = load_config(write(tmp_path, text))
    first, second = config.models["a"].endpoint, config.models["b"].endpoint
    assert first is not None
    assert second is not None
    assert (first.url, first.via) == ("http://scorer.ml.svc:8000/predict", Via.PROXY)
    assert first.health_url == "http://scorer.ml.svc:8001/ready"
    assert (second.url, second.via) == ("http://scorer-0.ml.pod:8000/predict", Via.PORT_FORWARD)
    assert config.models["b"].metrics.urls == ("http://scorer-0.ml.pod:9400/metrics",)
    typed = apply_flags(config.models["a"], TargetFlags(endpoint="http://model:8000/predict")).endpoint
    assert typed is not None
    assert (typed.url, typed.via) == ("http://model:8000/predict", Via.DIRECT)


@pytest.mark.parametrize(
    ("endpoint", "said"),
    [
        ('url = "k8s://ml/scorer:http/x"', "models.m.endpoint.url: needs its port as a number"),
        ('url = "http://10.0.0.3/x"\nvia = "proxy"', 'models.m.endpoint: via = "proxy" reaches services and pods only'),
        ('url = "k8s://ml/pod/a:80/x"\nvia = "direct"', "models.m.endpoint: a pod has no name outside"),
        ('url = "http://10.0.0.3/x"\nvia = "ssh"', 'models.m: endpoint.via = "ssh" needs a host to go through'),
        ('url = "ssh://jump/http://10.0.0.3/x"', "models.m.endpoint.url: names the host to go through"),
        ('url = "http://10.0.0.3/x"\nvia = "pigeon"', "models.m.endpoint.via"),
    ],
)
def test_a_way_that_does_not_fit_its_address_is_refused(tmp_path: Path, endpoint: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(write(tmp_path, f"[models.m.endpoint]\n{endpoint}"))
    assert said in str(caught.value)
