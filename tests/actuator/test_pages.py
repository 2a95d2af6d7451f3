"""The status pages: they show what the API shows, harmlessly, also when there is nothing."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from actuator.builders import PROTECT, on, rule, ruleset
from actuator.serving import Client, serving
from actuator.stage import Make, Stage
from wattgov_actuator.cycle.snapshot import Reloads, Snapshot
from wattgov_actuator.decision import MEANING, Reason
from wattgov_actuator.pause import Pause
from wattgov_actuator.rules import Sla
from wattgov_actuator.serving.html import PAGES, TONES

EVIL = '"><script>alert(1)</script>&{{ 7*7 }}'


class Seen(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.text += " "
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.text += data


def page(client: Client, path: str) -> Seen:
    """Return one page, which is one."""
    status, text = client.ask(path)
    assert (200, "text/html; charset=utf-8") == (status, client.headers["Content-Type"])
    return Seen(text)


@pytest.fixture
def stage(make: Make) -> Stage:
    """Return an actuator that has trimmed a card to 280 W."""
    stage = make(ruleset(rule("trim", "quiet"), protect=replace(PROTECT, sla=Sla("slow"))))
    stage.say("quiet")
    stage.play()
    return stage


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_there_before_the_first_tick(tmp_path: Path, path: str) -> None:
    """With nothing known at all."""
    with serving(lambda: Snapshot(enforcing=False), tmp_path) as client:
        seen = page(client, path)

    assert "dry run" in seen.text
    assert "Before the first tick" in seen.text


@pytest.mark.parametrize("path", PAGES)
def test_a_page_brings_nothing_and_allows_nothing(stage: Stage, tmp_path: Path, path: str) -> None:
    """No script, no form, no asset of others; the policy forbids them, and frames, as well."""
    with serving(lambda: stage.governor.snapshot, tmp_path) as client:
        seen, headers = page(client, path), client.headers

    assert not {"script", "form", "img", "link", "iframe", "object"} & set(seen.tags)
    assert not [name for name, _ in seen.attributes if name.startswith("on") or name == "style"]
    assert not [to for name, to in seen.attributes if name == "href" and to and "//" in to]
    policy = headers["Content-Security-Policy"]
    assert re.fullmatch(
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "style-src 'sha256-[A-Za-z0-9+/=]{44}'",
        policy,
    )
    assert ("no-store", "nosniff", "no-referrer") == tuple(
        headers[name] for name in ("Cache-Control", "X-Content-Type-Options", "Referrer-Policy")
    )


def test_the_overview_tells_what_is_held_and_why_nothing_is_done(
    stage: Stage, tmp_path: Path
) -> None:
    """Mode, pause, mistakes of a reload, trouble of the journal, and what we hold."""
    stage.governor.snapshot = replace(
        stage.governor.snapshot,
        pause=Pause(1e6, None, "ann", "load test"),
        journal_trouble="the disk is full",
        reloads=Reloads(1e6, "", ("rules.yml:3:5: unknown key",)),
    )
    with serving(lambda: stage.governor.snapshot, tmp_path) as client:
        text = " ".join(page(client, "/").text.split())

    for part in (
        "by ann, until somebody resumes: load test. No rule tightens",
        "nothing can be journalled: the disk is full",
        "rules.yml:3:5: unknown key",
        "gpu_power_limit GPU-a 280 W 300 W trim 280 W",
        "applied 1 The knob was written, and reads back as wanted.",
    ):
        assert part in text


def test_rules_targets_and_decisions_tell_the_same_as_the_api(stage: Stage, tmp_path: Path) -> None:
    """In the words that a person reads."""
    with serving(lambda: stage.governor.snapshot, tmp_path) as client:
        told = [page(client, path).text for path in ("/rules", "/targets", "/decisions")]
    rules, targets, decisions = (" ".join(each.split()) for each in told)

    assert "trim gpu_power_limit, class cost quiet step amount -20 W min 150 W" in rules
    assert "GPU-a true 1 280 W applied the value is 1, read 0 s ago" in rules
    assert "GPU-a gpu 0 280 W 280 W 300 W 100 W 400 W trim 280 W in 1 min" in targets
    assert "trim gpu_power_limit GPU-a 300 W 280 W applied the value is 1" in decisions
    assert MEANING[Reason.APPLIED] in decisions


def test_decisions_are_narrowed_by_links(stage: Stage, tmp_path: Path) -> None:
    """A page takes the parameters of the API; one that makes no sense is an error there too."""
    with serving(lambda: stage.governor.snapshot, tmp_path) as client:
        assert "GPU-a" in page(client, "/decisions?reason=applied&refresh=off").text
        assert "No decision is like that" in page(client, "/decisions?reason=lost").text
        assert 400 == client.ask("/decisions?reason=bored")[0]


def test_a_page_looks_again_by_itself_unless_told_to_stay(stage: Stage, tmp_path: Path) -> None:
    """Without a script."""
    with serving(lambda: stage.governor.snapshot, tmp_path) as client:
        assert ("http-equiv", "refresh") in page(client, "/").attributes
        assert ("http-equiv", "refresh") not in page(client, "/?refresh=off").attributes


def test_whatever_prometheus_and_people_say_is_only_text(make: Make, tmp_path: Path) -> None:
    """Names of targets, labels, expressions, reasons of a pause: none becomes markup or code."""
    stage = make(ruleset(rule("trim", EVIL)))
    name = EVIL.replace("/", "_")
    stage.knob.add(name)
    stage.said = {EVIL: on(uuid=name, app=EVIL)}
    stage.play()
    (stage.knob.folder / name).write_text("201")
    stage.play()
    stage.governor.snapshot = replace(
        stage.governor.snapshot,
        pause=Pause(1e6, None, EVIL, EVIL),
        journal_trouble=EVIL,
        notes={"gpu_power_limit": EVIL},
        reloads=Reloads(1e6, "", (EVIL,)),
    )
    with serving(lambda: stage.governor.snapshot, tmp_path) as client:
        pages = [page(client, path) for path in PAGES]

    for each in pages:
        assert "script" not in each.tags
        assert EVIL in each.text
        assert not [name for name, _ in each.attributes if name.startswith("on")]


def test_every_word_that_has_a_look_is_a_word() -> None:
    """A reason that is renamed loses its colour only here."""
    planned = {"rolled_back", "ineffective"}  # of the effect check
    assert set(TONES) <= set(Reason) | planned | {"true", "stale", "hot"}
