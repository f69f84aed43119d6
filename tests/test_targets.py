"""What an incident is about: the typed word, the config, the flags."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infdiag_tui.config.load import ConfigError, TargetFlags
from infdiag_tui.targets import require_something_to_watch, resolve_target

ONE = '[models.fraud-scorer.endpoint]\nurl = "http://m/predict"\n'
TWO = ONE + '[models.ranker.endpoint]\nurl = "http://r/predict"\n'


@pytest.fixture(autouse=True)
def _empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.chdir(tmp_path)


def test_a_symptom_picks_the_only_model(tmp_path: Path) -> None:
    (tmp_path / "infdiag.toml").write_text(ONE)
    target = resolve_target("slow-inference", None, TargetFlags())
    assert (target.model_name, target.symptom) == ("fraud-scorer", "slow-inference")


def test_a_model_is_found_by_name(tmp_path: Path) -> None:
    (tmp_path / "infdiag.toml").write_text(TWO)
    target = resolve_target("ranker", None, TargetFlags())
    assert target.model.endpoint is not None
    assert target.model.endpoint.url == "http://r/predict"
    assert target.symptom == ""


def test_several_models_need_a_name(tmp_path: Path) -> None:
    (tmp_path / "infdiag.toml").write_text(TWO)
    with pytest.raises(ConfigError, match=r"Name one: .*fraud-scorer, ranker"):
        resolve_target(None, None, TargetFlags())


def test_flags_make_a_target_without_any_config() -> None:
    target = resolve_target(None, None, TargetFlags(endpoint="http://model:8000/predict"))
    assert target.model_name == "model:8000"
    require_something_to_watch(target)


def test_credentials_in_an_endpoint_do_not_become_the_name() -> None:
    target = resolve_target(None, None, TargetFlags(endpoint="http://me:secret@model:8000/predict"))
    assert target.model_name == "model:8000"


def test_an_unknown_name_without_a_cluster_says_what_was_tried_and_what_helps() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve_target("slow-inferense", None, TargetFlags())
    message = str(caught.value)
    assert "Did you mean 'slow-inference'?" in message
    assert "no config was found" in message
    assert "--endpoint" in message


def test_an_unknown_name_is_looked_for_in_the_cluster_of_the_kubeconfig(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "kubeconfig").write_text("")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    target = resolve_target("churn", None, TargetFlags(exec_pod="churn-1", exec_container="server"))
    assert target.model.kubernetes is not None
    assert target.model.kubernetes.name_hint == "churn"
    assert (target.model.kubernetes.exec_pod, target.model.kubernetes.exec_container) == ("churn-1", "server")


def test_no_config_and_no_flags_is_this_machine_on_screen_and_an_error_without_one() -> None:
    target = resolve_target(None, None, TargetFlags())
    assert target.model_name == "this machine"
    with pytest.raises(ConfigError, match="nothing to watch: no config was found"):
        require_something_to_watch(target)


def test_a_config_that_names_nothing_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "infdiag.toml").write_text("[thresholds]\n")
    with pytest.raises(ConfigError, match=r"infdiag\.toml names neither endpoint"):
        require_something_to_watch(resolve_target(None, None, TargetFlags()))


def test_flags_that_name_no_target_still_apply_to_the_only_model(tmp_path: Path) -> None:
    (tmp_path / "infdiag.toml").write_text(ONE)
    target = resolve_target(None, None, TargetFlags(rate_per_s=7.0, timeout_s=2.0))
    assert target.model.endpoint is not None
    assert (target.model.endpoint.rate_per_s, target.model.endpoint.timeout_s) == (7.0, 2.0)


def test_a_url_that_is_none_is_a_sentence_without_its_password() -> None:
    with pytest.raises(ConfigError, match="is no URL") as caught:
        resolve_target(None, None, TargetFlags(endpoint="http://me:hunter2@[bad/predict"))
    assert "hunter2" not in str(caught.value)


def test_a_shared_prometheus_holds_for_every_model_and_its_own_words_outrank_it(tmp_path: Path) -> None:
    file = tmp_path / "infdiag.toml"
    file.write_text(
        "[prometheus]\nurl = 'http://prometheus:9090'\nhistory = '2h'\ntoken_file = 'token'\n"
        "[models.plain]\n[models.own.prometheus]\nhistory = '30m'\nmatchers = { app = 'own' }\n"
    )
    plain = resolve_target("plain", str(file), TargetFlags()).model.prometheus
    own = resolve_target("own", str(file), TargetFlags()).model.prometheus
    assert plain is not None
    assert own is not None
    assert (plain.url, plain.history_s, plain.matchers) == ("http://prometheus:9090", 7200, {})
    assert (own.url, own.history_s, own.matchers) == ("http://prometheus:9090", 1800, {"app": "own"})
    assert own.token_file == tmp_path / "token"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[models.a.prometheus]\nhistory = '1h'\n", "models.a.prometheus.url: is missing"),
        ("[models.a.prometheus]\nurl = 'http://p'\nhistory = 'an hour'\n", "no span of time"),
        ("[models.a.prometheus]\nurl = 'http://p'\nhistory = '9d'\n", "longer than a week"),
        ("[models.a.prometheus]\nurl = 'http://p'\nmatchers = { 'a=b' = 'c' }\n", "names the label"),
        ("[prometheus]\nurl = 'http://p'\nheaders = { Auth = \"a\\nb\" }\n[models.a]\n", "no header"),
        ("[models.a.loki]\nurl = 'http://loki'\n", "models.a.loki.selector: is missing"),
    ],
)
def test_monitoring_that_cannot_be_used_is_refused_by_its_key(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "infdiag.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(words)):
        resolve_target("a", str(file), TargetFlags())
