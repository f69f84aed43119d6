"""What versions, digests and files say together: expected or not, the same everywhere or not, how old."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from checks.base import Outcome
from checks.version_files import ModelFile
from checks.version_sources import Stated
from infdiag_tui.model import CheckStatus, Evidence, Verdict
from infdiag_tui.text import clean, one_line

if TYPE_CHECKING:
    from checks.version import VersionParams

SERVICE = "service"
SOURCE = "version"
_DAY_S = 86_400.0
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer of the service or of a replica."""

    target: str
    digest: str = ""
    stated: Stated = field(default_factory=Stated)
    url: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the check's result; unknown is null."""
        stated = self.stated
        return {
            "target": self.target,
            "version": stated.text or None,
            "digest": self.digest or None,
            "server_version": stated.server or None,
            "model": stated.model or None,
            "source": stated.source or None,
            "error": stated.error or None,
        }


@dataclass(frozen=True, slots=True)
class Findings:
    """All that was learnt."""

    params: VersionParams
    asked: Sequence[Asked]
    files: Sequence[ModelFile]
    notes: Sequence[str]
    at: float
    before: frozenset[str] = frozenset()
    """Versions in the baseline."""

    @property
    def anything(self) -> bool:
        """True when at least one version, digest or file is known."""
        return any(one.stated.versions or one.digest for one in self.asked) or bool(self.files)

    @property
    def replicas(self) -> list[Asked]:
        """One entry per replica; where the cluster names none, the service's different answers."""
        own = [one for one in self.asked if one.target != SERVICE]
        if own:
            return own
        distinct: dict[str, Asked] = {}
        for one in self.asked:
            distinct.setdefault(one.stated.text, one)
        return list(distinct.values())


def conclude(findings: Findings) -> Outcome:
    """Evidence, result and the sentence."""
    evidence = [*_evidence(findings)]
    verdicts = {one.verdict for one in evidence}
    status = CheckStatus.OK
    if Verdict.FAIL in verdicts:
        status = CheckStatus.FAIL
    elif verdicts & {Verdict.WARN, Verdict.UNKNOWN} or findings.notes:
        status = CheckStatus.WARN
    order = (Verdict.FAIL, Verdict.WARN, Verdict.UNKNOWN)
    bad = [one.statement for verdict in order for one in evidence if one.verdict is verdict]
    fine = [one.statement for one in evidence] or ["Nothing to compare"]
    result = {
        "replicas": [one.as_json() for one in findings.replicas],
        "service": _service(findings),
        "expected": findings.params.expected or None,
        "files": [one.as_json() for one in findings.files],
        "notes": list(findings.notes),
    }
    summary = bad[0] if bad else (findings.notes[0] if findings.notes else ". ".join(fine[:2]))
    return Outcome(status, one_line(summary), tuple(evidence), result)


def _service(findings: Findings) -> dict[str, Any] | None:
    own = [one for one in findings.asked if one.target == SERVICE]
    if not own:
        return None
    versions = sorted({one.stated.text for one in own if one.stated.versions})
    return {"versions": versions, "asked": len(own), "error": own[-1].stated.error or None}


def _evidence(findings: Findings) -> Iterator[Evidence]:
    yield from _versions(findings)
    yield from _since_baseline(findings)
    yield from _silent(findings)
    yield from _digests(findings)
    yield from _file_evidence(findings)
    yield from _age(findings)


def _versions(findings: Findings) -> Iterator[Evidence]:
    known = [one for one in findings.asked if one.stated.versions]
    if not known:
        if findings.params.expected:
            errors = [one.stated.error for one in findings.asked if one.stated.error]
            why = errors[0] if errors else "no server was asked"
            yield _make(findings, "mismatch", Verdict.UNKNOWN, f"The deployed version is not known: {why}")
        return
    expected = findings.params.expected
    if expected:
        wrong = [one for one in known if plain(expected) not in map(plain, one.stated.versions)]
        names = list(dict.fromkeys(one.target for one in wrong))
        said = ", ".join(sorted({one.stated.text for one in wrong}))
        text = f"{_names(names)} {_verb(names, 'runs', 'run')} version {said} instead of {_plainly(expected)}"
        if not wrong:
            text = f"Version {_plainly(expected)} is deployed, as expected"
        yield _make(
            findings,
            "mismatch",
            Verdict.FAIL if wrong else Verdict.OK,
            text,
            value=said if wrong else known[0].stated.text,
            sample_size=len(known),
            source_of_threshold=f"expected version {_plainly(expected)}",
        )
    if len({frozenset(one.stated.versions) for one in known}) > 1:
        yield _make(findings, "replica_skew", Verdict.FAIL, _skew(known), value=True, sample_size=len(known))
    elif len(known) > 1:
        own = sum(one.target != SERVICE for one in known)
        who = f"All {own} replicas that state it run" if own > 1 else "Every answer states"
        yield _make(
            findings,
            "replica_skew",
            Verdict.OK,
            f"{who} version {known[0].stated.text}",
            value=False,
            sample_size=len(known),
        )


def _skew(known: Sequence[Asked]) -> str:
    by_version: dict[str, list[str]] = {}
    for one in known:
        names = by_version.setdefault(one.stated.text, [])
        if one.target not in names:
            names.append(one.target)
    replicas = {text: [name for name in names if name != SERVICE] for text, names in by_version.items()}
    if sum(map(bool, replicas.values())) < 2:
        return f"The same address answers with different versions: {', '.join(sorted(by_version))}"
    parts = [f"{text} on {_names(names)}" for text, names in sorted(replicas.items()) if names]
    return f"Replicas run different versions: {'; '.join(parts)}"


def _since_baseline(findings: Findings) -> Iterator[Evidence]:
    """Another version than in the baseline is what changed, though it may be meant; an expected one needs no word."""
    known = sorted({one.stated.text for one in findings.asked if one.stated.versions})
    if not known or not findings.before or findings.params.expected:
        return
    new = [text for text in known if plain(text) not in map(plain, findings.before)]
    was = ", ".join(sorted(findings.before))
    text = f"The model version is the baseline's, {', '.join(known)}"
    if new:
        text = f"Version {', '.join(new)} is deployed; in the baseline it was {was}"
    verdict = Verdict.WARN if new else Verdict.OK
    yield _make(findings, "changed", verdict, text, value=bool(new), source_of_threshold="baseline")


def _silent(findings: Findings) -> Iterator[Evidence]:
    """A replica whose version is unknown while others state theirs."""
    if not any(one.stated.versions for one in findings.asked):
        return
    for one in findings.asked:
        if one.stated.error:
            yield _make(
                findings,
                "stated",
                Verdict.UNKNOWN,
                f"The version of {one.target} is not known: {one.stated.error}",
                subject="" if one.target == SERVICE else one.target,
            )


def _digests(findings: Findings) -> Iterator[Evidence]:
    known = [one for one in findings.asked if one.digest]
    if not known:
        return
    groups: dict[str, list[str]] = {}
    for one in known:
        groups.setdefault(_digest(one.digest), []).append(one.target)
    if len(groups) > 1:
        parts = [f"{_short(digest)} on {_names(names)}" for digest, names in groups.items()]
        text = f"Replicas run different images: {'; '.join(parts)}"
        yield _make(findings, "digest_skew", Verdict.FAIL, text, value=True, sample_size=len(known))
    elif len(known) > 1:
        text = f"All replicas run the image {_short(next(iter(groups)))}"
        yield _make(findings, "digest_skew", Verdict.OK, text, value=False, sample_size=len(known))
    expected = _digest(findings.params.expected_digest)
    if expected:
        wrong = [name for digest, names in groups.items() if digest != expected for name in names]
        text = f"The image {_short(expected)} is deployed, as expected"
        if wrong:
            text = f"{_names(wrong)} {_verb(wrong, 'runs', 'run')} another image than the expected {_short(expected)}"
        yield _make(findings, "digest_mismatch", Verdict.FAIL if wrong else Verdict.OK, text, sample_size=len(known))


def _file_evidence(findings: Findings) -> Iterator[Evidence]:
    hashes = {value for one in findings.files for value in (one.md5, one.sha256) if value}
    wanted = [one.strip().lower().removeprefix("sha256:") for one in findings.params.expected_hash]
    if wanted:
        lost = [one for one in wanted if one not in hashes]
        text = "The model files have the expected hashes"
        verdict = Verdict.OK
        if lost:
            verdict = Verdict.FAIL if hashes else Verdict.UNKNOWN
            text = f"No model file has the expected hash {_names([_short(one) for one in lost])}"
        yield _make(findings, "file_hash", verdict, text, sample_size=len(findings.files))
    here: dict[str, ModelFile] = {}
    for one in findings.files:
        name = PurePosixPath(one.path).name
        if one.place == "local":
            here[name] = one
        elif name in here and here[name].sha256 and one.sha256:
            same = here[name].sha256 == one.sha256
            place = "on the model's host" if one.place == "host" else "in the container"
            text = f"{name} {place} {'is' if same else 'is not'} the file on this machine"
            verdict = Verdict.OK if same else Verdict.FAIL
            yield _make(findings, "file_mismatch", verdict, text, subject=name, value=not same)


def _age(findings: Findings) -> Iterator[Evidence]:
    dated = [one for one in findings.files if one.modified_at is not None]
    if not dated:
        return
    newest = max(dated, key=lambda one: one.modified_at or 0.0)
    age_days = (findings.at - (newest.modified_at or 0.0)) / _DAY_S
    limit = findings.params.max_age_days
    old = limit is not None and age_days > limit
    text = f"The newest model file, {PurePosixPath(newest.path).name}, is {age_days:.1f} days old"
    if age_days < 0:
        text = f"The newest model file, {PurePosixPath(newest.path).name}, is dated {-age_days:.1f} days in the future"
    yield _make(
        findings,
        "model_age",
        Verdict.WARN if old or age_days < 0 else Verdict.OK,
        text,
        value=age_days,
        unit="d",
        sample_size=len(dated),
        threshold=limit,
        source_of_threshold="--max-age-days" if limit is not None else "",
    )


def plain(version: str) -> str:
    """A version without the `v` that some write before it: v2.4.1 and 2.4.1 are the same."""
    version = version.strip()
    return version[1:] if re.match(r"[vV]\d", version) else version


def _plainly(text: str) -> str:
    return one_line(clean(text), 80)


def _digest(text: str) -> str:
    """The digest alone, of `sha256:...` or `registry/image@sha256:...`."""
    return text.strip().rpartition("@")[2]


def _short(digest: str) -> str:
    kind, colon, value = one_line(clean(digest), 200).rpartition(":")
    return f"{kind}{colon}{value[:12]}"


def _names(names: Sequence[str]) -> str:
    shown = ["the service" if name == SERVICE else name for name in names[:_NAMED]]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(shown) + more


def _verb(names: Sequence[str], one: str, many: str) -> str:
    return one if len(names) == 1 else many


def _make(
    findings: Findings,
    name: str,
    verdict: Verdict,
    statement: str,
    *,
    value: float | str | bool | None = None,
    unit: str = "",
    subject: str = "",
    sample_size: int | None = None,
    threshold: float | None = None,
    source_of_threshold: str = "",
) -> Evidence:
    statement = one_line(statement)
    return Evidence(
        id=f"version.{name}",
        statement=statement[:1].upper() + statement[1:] if statement.startswith("the service") else statement,
        verdict=verdict,
        source=SOURCE,
        at=findings.at,
        value=value,
        unit=unit,
        subject=subject,
        sample_size=sample_size,
        threshold=threshold,
        threshold_source=source_of_threshold,
    )
