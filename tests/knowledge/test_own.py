"""An own knowledge folder: merged over the built-in causes, or refused by file, line and remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checks.registry import BUILT_IN
from infdiag_tui.knowledge.causes import causes
from infdiag_tui.knowledge.own import MAX_BYTES, Knowledge, load_knowledge

OWN_CAUSE = """
[license-expired]
title = "The runtime's licence has expired"
component = "Infrastructure"
symptoms = { intermittent-failures = 1.0 }
first_check = "infrastructure"
summary = "It starts and answers errors."
immediate_fix = "Renew it."
guidance = "license-expired"
supports = [
  { evidence = "latency.error_rate", with = ["failing|pods.restarts"], weight = 1.0, because = "requests fail" },
]
"""


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    (tmp_path / "causes").mkdir()
    (tmp_path / "guidance").mkdir()
    return tmp_path


def load(folder: Path, **files: str) -> Knowledge:
    for name, text in files.items():
        (folder / "causes" / f"{name}.toml").write_text(text)
    return load_knowledge(folder, BUILT_IN)


def only_problem(knowledge: Knowledge) -> str:
    assert len(knowledge.problems) == 1, knowledge.problems
    assert knowledge.causes == causes(), "the built-in causes are used"
    return knowledge.problems[0]


def test_without_a_folder_the_built_in_causes_are_there() -> None:
    knowledge = load_knowledge(None, BUILT_IN)
    assert knowledge.causes == causes()
    assert knowledge.problems == ()


def test_a_key_of_a_known_cause_is_replaced_and_the_rest_kept(folder: Path) -> None:
    text = """
    [memory-leak]
    immediate_fix = "Call the platform team."
    prevention.alert.default = 0.8
    symptoms.oom = 2.0
    """
    knowledge = load(folder, site=text)
    assert knowledge.problems == ()
    ours, built_in = knowledge.causes["memory-leak"], causes()["memory-leak"]
    assert ours.immediate_fix == "Call the platform team."
    assert ours.long_term_fix == built_in.long_term_fix
    assert ours.supports == built_in.supports
    assert ours.symptoms == {**built_in.symptoms, "oom": 2.0}
    assert ours.prevention is not None
    assert ours.prevention.alert is not None
    assert built_in.prevention is not None
    assert built_in.prevention.alert is not None
    assert ours.prevention.alert == built_in.prevention.alert.model_copy(update={"default": 0.8})
    assert {name: one for name, one in knowledge.causes.items() if name != "memory-leak"} == {
        name: one for name, one in causes().items() if name != "memory-leak"
    }


def test_an_own_cause_joins_with_a_page_of_its_own(folder: Path) -> None:
    (folder / "guidance" / "license-expired.md").write_text("# Licence\n\nAsk \x1b[31mlegal.\n")
    knowledge = load(folder, site=OWN_CAUSE)
    assert knowledge.problems == ()
    assert set(knowledge.causes) == {*causes(), "license-expired"}
    page = knowledge.guidance.page(knowledge.guidance.for_cause("license-expired"))
    assert page.startswith("# Licence\n\nAsk legal.")
    assert "## Immediate fix\n\nRenew it." in page
    assert "license-expired" in knowledge.guidance.names()
    assert "(license-expired.md)" in knowledge.guidance.page("intermittent-failures")


def test_an_own_page_goes_before_ours(folder: Path) -> None:
    (folder / "guidance" / "memory-leak.md").write_text("# Ours\n")
    knowledge = load(folder)
    assert knowledge.guidance.title("memory-leak") == "Ours"
    assert knowledge.guidance.title("gpu-fault") == causes()["gpu-fault"].title


BROKEN = {
    "no TOML": ("# x\n[memory-leak]\ntitle = \n", 3, "Correct it there"),
    "unfinished": ('[memory-leak]\ntitle = "x', 2, "Correct it there"),
    "unknown key": ("[memory-leak]\ntitle = 'x'\nimediate_fix = 'y'\n", 3, "Did you mean 'immediate_fix'?"),
    "unknown key of a rule": (
        "[memory-leak]\nsupports = [\n  { evidence = 'pods.restarts', weight = 1, because = 'x', witout = [] },\n]\n",
        3,
        "Did you mean 'without'?",
    ),
    "unknown key of an alert": ("[memory-leak.prevention.alert]\n\nfactr = 2\n", 3, "Did you mean 'factor'?"),
    "a missing key": ("\n\n[new-cause]\ncomponent = 'Data'\n", 3, "new-cause.title is missing. Add it"),
    "a wrong type": ("[memory-leak]\nsymptoms = 3\n", 2, "memory-leak.symptoms"),
    "a weight out of bounds": (
        """[x]
title = 'x'
component = 'Data'
first_check = 'drift'
supports = [
  { evidence = 'gpu.xid', weight = 1, because = 'x' },
  { evidence = 'gpu.xid', weight = 99, because = 'x' },
]
""",
        7,
        "(got 99)",
    ),
    "a component there is not": ("[memory-leak]\ncomponent = 'Moon'\n", 2, "'Infrastructure'"),
    "no table": ("memory-leak = 1\n", 1, "Begin each cause with [its-id]"),
    "no id": ("\n['Memory Leak']\n", 2, "lower-case letters"),
    "evidence there is not": (
        "[memory-leak]\nrefutes = [\n  { evidence = 'moon.phase', weight = 1, because = 'x' },\n]\n",
        3,
        "'moon.phase' is no evidence. Name one that there is",
    ),
    "a condition there is not": (
        "[memory-leak]\nsupports = [\n  { evidence = 'gpu.xid', weight = 1, because = 'x', with = ['tides'] },\n]\n",
        3,
        "'tides' is no evidence",
    ),
    "a check there is not": ("[memory-leak]\nfirst_check = 'horoscope'\n", 2, "'horoscope' is no check"),
    "an effect there is not": ("[memory-leak]\neffects = [\n  'crash-loop',\n  'rain',\n]\n", 4, "'rain' is no cause"),
    "an effect of itself": ("[crash-loop]\neffects = ['memory-leak']\n", 2, "effect of itself"),
    "a page there is not": ("[memory-leak]\nguidance = '../../etc/passwd'\n", 2, "is no page"),
    "an alert without a threshold": ("[memory-leak.prevention.alert]\nexpr = 'up == 0'\n", 2, "lacks {threshold}"),
    "an alert's evidence in another unit": (
        "[preprocessing-slow.prevention.alert]\nevidence = 'pods.restarts'\n",
        2,
        "measured in restarts",
    ),
}


@pytest.mark.parametrize(("text", "line", "words"), BROKEN.values(), ids=BROKEN)
def test_an_error_is_told_with_file_line_and_remedy_and_the_built_in_causes_are_used(
    folder: Path, text: str, line: int, words: str
) -> None:
    said = only_problem(load(folder, site=text))
    assert said.startswith(f"{folder}/causes/site.toml:{line}: "), said
    assert words in said
    assert said.endswith("The built-in causes are used in its place.")


def test_one_broken_file_does_not_cost_the_others(folder: Path) -> None:
    knowledge = load(folder, a="[memory-leak]\ntitle = 3\n", b="[gpu-fault]\ntitle = 'Ours'\n")
    assert len(knowledge.problems) == 1
    assert knowledge.causes["gpu-fault"].title == "Ours"
    assert knowledge.causes["memory-leak"] == causes()["memory-leak"]


def test_a_file_that_leans_on_a_refused_one_is_refused_as_well(folder: Path) -> None:
    broken = "[first]\ntitle = 'x'\ncomponent = 'Data'\nfirst_check = 'horoscope'\n"
    leaning = "[memory-leak]\neffects = ['first']\n"
    knowledge = load(folder, a=leaning, b=broken)
    assert knowledge.causes == causes()
    assert [one.partition(": ")[0] for one in knowledge.problems] == [
        f"{folder}/causes/b.toml:4",
        f"{folder}/causes/a.toml:2",
    ]


def test_two_files_with_the_same_cause(folder: Path) -> None:
    text = "[gpu-fault]\ntitle = 'Ours'\n"
    knowledge = load(folder, a=text, b=text)
    assert len(knowledge.problems) == 1
    assert "b.toml:1: [gpu-fault] is in a.toml as well" in knowledge.problems[0]
    assert knowledge.causes["gpu-fault"].title == "Ours"


def test_a_folder_that_is_none_or_empty_is_told(tmp_path: Path) -> None:
    absent = load_knowledge(tmp_path / "absent", BUILT_IN)
    assert "is no folder. Correct knowledge_dir" in only_problem(absent)
    assert "holds neither causes/*.toml nor guidance/*.md" in only_problem(load_knowledge(tmp_path, BUILT_IN))


def test_what_is_no_text_file_is_refused_without_waiting_for_it(folder: Path) -> None:
    place = folder / "causes"
    os.mkfifo(place / "a.toml")
    (place / "b.toml").write_bytes(b"# ok\n[x]\ntitle = '\xff'\n")
    (place / "c.toml").write_text("#" * (MAX_BYTES + 1))
    (place / "d.toml").write_text("x = " + "[" * 100_000)
    (place / "e.toml").mkdir()
    (place / "f.toml").symlink_to(place / "gone")
    said = load_knowledge(folder, BUILT_IN).problems
    assert [one.removeprefix(f"{place}/").partition(". ")[0] for one in said] == [
        "a.toml:1: is no regular file",
        "b.toml:3: is not UTF-8 text",
        f"c.toml:1: is larger than {MAX_BYTES:,} bytes",
        "d.toml:1: is nested too deeply",
        "e.toml:1: is no regular file",
        "f.toml:1: cannot be read (No such file or directory)",
    ]


def test_names_and_words_from_the_file_are_printable_in_the_message(folder: Path) -> None:
    said = only_problem(load(folder, site='["\\u001b[31mred"]\ntitle = "x"\n'))
    assert said.isprintable()
