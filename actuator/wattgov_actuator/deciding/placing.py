"""One target at one tick: every rule that is about it, its guards, and what it gets."""

from collections.abc import Mapping
from functools import partial

from wattgov_actuator.condition import Judged, View, learned
from wattgov_actuator.deciding import ruling
from wattgov_actuator.deciding.arbitration import Heat, Idle, Settled, Verdict, seen_by, settle
from wattgov_actuator.deciding.facts import NOTHING, QUIET
from wattgov_actuator.deciding.roster import Post, Roster, Turn
from wattgov_actuator.deciding.trying import Saving, saving, tried
from wattgov_actuator.deciding.watching import lost_sight, warmed, watch
from wattgov_actuator.decision import UNTRIED, Held, Reason, Scene, Trial, Watch
from wattgov_actuator.guards import is_calm
from wattgov_actuator.reading import Reading
from wattgov_actuator.record import record
from wattgov_actuator.rules import Expectation, Rule, Want


@record
class Place:
    """One target after the tick."""

    key: tuple[str, str]
    seen: str | None
    settled: Settled
    held: Mapping[tuple[str, str], Held]
    watches: Mapping[tuple[str, str, str], Watch]
    trials: Mapping[tuple[str, str], Trial]
    savings: tuple[Saving, ...]


def place(turn: Turn, roster: Roster, reading: Reading) -> Place:
    """Judge, wish, guard and settle at one target."""
    visit = _Visit(turn, roster, reading)
    for post in roster.posts:
        visit.ask(post)
    return visit.settled()


class _Visit:
    """One target on its way through the rules."""

    def __init__(self, turn: Turn, roster: Roster, reading: Reading) -> None:
        target, memory, groups = reading.target, turn.memory, roster.groups
        self._turn, self._roster, self._reading = turn, roster, reading
        self._key = key = (target.knob, target.name)
        self._seen = seen = memory.seen.get(key)
        self._views = self._viewed(seen)
        self._before = {group: memory.watches.get((group, *key), QUIET) for group in groups}
        self._after = {group: self._watched(post) for group, post in groups.items()}
        self._hot = next((each.heat for each in self._after.values() if each.heat), "")
        self._held, self._changes = memory.held, memory.turns.get(key, ())
        self._woken = memory.woken.get(key)
        self._calm: dict[str, bool] = {}  # by group
        self._turnable = reading.current is not None and not reading.conflict
        self._judgements: list[Verdict | Idle] = []
        self._resting: dict[str, float | None] = {}
        self._kept: dict[tuple[str, str], Held] = {}
        self._trials: dict[tuple[str, str], Trial] = {}
        self._savings: list[Saving] = []

    def ask(self, post: Post) -> None:
        """Let one rule say what it wishes, and keep what it remembers."""
        rule, reading, now = post.rule, self._reading, self._turn.now
        own = (rule.action, reading.target.name)
        held = self._held.get(own, NOTHING)
        if held.claim is not None:
            held = ruling.grounded(held, reading)
        if not post.asked:
            self._rest(own, held)
            return
        view = self._views[post.group.name]
        judged = ruling.judged(rule, view, held, now)
        if judged.instance != self._seen:
            self._learn(learned(judged, view))
        if post.rests and self._turnable and held.claim is None and judged.false:
            self._judgements.append(_idle(post, judged, self._seen))
            return
        self._weigh(post, own, view, judged, ruling.remembered(rule, held, judged, now))

    def _rest(self, own: tuple[str, str], held: Held) -> None:
        """Keep what a rule holds that is not asked this time."""
        trials = self._turn.memory.trials
        self._kept[own], self._resting[own[0]] = held, held.claim
        if own in trials:
            self._trials[own] = trials[own]

    def _weigh(
        self, post: Post, own: tuple[str, str], view: View, judged: Judged, held: Held
    ) -> None:
        """Let a rule's law wish, and the guards check."""
        group, rule, reading = post.group, post.rule, self._reading
        scene = Scene(
            self._turn.now,
            group,
            rule,
            reading,
            judged,
            held,
            self._after[group.name],
            self._hot,
            self._changes,
            self._turn.facts.pause,
            UNTRIED if rule.expect is None else self._tried(rule.expect, post, view, held),
            self._needless(rule) if rule.instead_of else "",
            self._woken,
            self._others(rule) if rule.law.traits.judges else None,
        )
        calm = self._calm.get(group.name)
        if calm is None:
            calm = self._calm[group.name] = is_calm(scene)
        wish, want = ruling.wished(scene, view, post.terms_at(reading, calm=calm))
        self._kept[own] = ruling.keeping(held, want.memory)
        if want.saved_watts is not None or want.wake_joules:
            self._savings.append(self._saving(post, want))
        self._judgements.append(Verdict(scene, wish))

    def settled(self) -> Place:
        """Return what the target gets, and what is to be remembered."""
        before, after, groups = self._before, self._after, self._roster.groups
        heats = [
            Heat(
                *(groups[each].group, after[each].heat, before[each].heat),
                unknown=lost_sight(before[each], after[each]),
            )
            for each in groups
            if after[each].heat or before[each].heat
        ]
        outcome = settle(
            self._reading,
            self._judgements,
            heats,
            resting=self._resting,
            ranks=self._roster.ranks,
            now=self._turn.now,
        )
        claims = outcome.claims
        held: dict[tuple[str, str], Held] = {}
        for own, each in self._kept.items():
            now = ruling.claiming(each, claims.get(own[0]))
            if now.true_since is not None or now != NOTHING:  # the first is quick to tell
                held[own] = now
        return Place(
            self._key,
            self._seen,
            outcome,
            held,
            {
                (group, *self._key): each
                for group, each in after.items()
                if each is not QUIET and each != QUIET  # the first is quick to tell
            },
            self._trials,
            tuple(self._savings),
        )

    def _learn(self, seen: str | None) -> None:
        """Judge the rules that follow by whose series name the target, if that is new."""
        if seen != self._seen:
            self._seen, self._views = seen, self._viewed(seen)

    def _viewed(self, seen: str | None) -> dict[str, View]:
        """Return what the rules of each group are judged on."""
        target, turn, groups = self._reading.target, self._turn, self._roster.groups
        return {
            name: turn.view(post.group, target, seen) for name, post in groups.items() if post.asked
        }

    def _watched(self, post: Post) -> Watch:
        """Return what a group's guards see, by Prometheus and by the device itself."""
        name, protect = post.group.name, post.group.protect
        seen = self._before[name]
        if post.asked:
            seen = watch(post.group, seen, self._views[name])
        if protect.thermal is None or protect.thermal.device is None:
            return seen
        celsius = self._turn.facts.celsius.get(self._key)
        steady = self._turn.now.steady
        return warmed(protect.thermal.device, protect.hold_seconds, seen, celsius, steady)

    def _tried(self, expect: Expectation, post: Post, view: View, held: Held) -> Trial:
        """Return what is known of the rule's last step, and note what it saves."""
        rule, turn = post.rule, self._turn
        own = (rule.action, self._reading.target.name)
        elapsed = turn.elapsed(post.group)
        spot = ruling.placed(rule, self._reading, held, turn.now, elapsed)
        before = turn.memory.trials.get(own, UNTRIED)
        trial = tried(expect, before, spot, partial(ruling.measured, view=view))
        self._trials[own] = trial
        self._savings += filter(None, [saving(rule.action, trial, spot)])
        return trial

    def _saving(self, post: Post, want: Want) -> Saving:
        target, elapsed, wake = self._reading.target, self._turn.elapsed(post.group), 0.0
        watts = want.saved_watts or 0.0
        if want.wake_joules and elapsed:
            wake = want.wake_joules
            watts -= wake / elapsed
        where = (post.rule.action, target.knob, target.name)
        return Saving(*where, watts, None, None, None, elapsed, want.method, wake)

    def _others(self, rule: Rule) -> float | None:
        """Return the lowest claim that other rules hold here."""
        name = self._reading.target.name
        places = [(each.rule.action, name) for each in self._roster.posts if each.rule is not rule]
        held = [self._held[place].claim for place in places if place in self._held]
        return min((claim for claim in held if claim is not None), default=None)

    def _needless(self, rule: Rule) -> str:
        """Say why nobody needs to stand in for another rule; empty if *rule* must."""
        other = rule.instead_of
        trial = self._turn.memory.trials.get((other, self._reading.target.name), UNTRIED)
        idle = trial.last is Reason.INEFFECTIVE and self._turn.now.steady < trial.until
        return "" if idle else f"it stands in for {other}, which was not found to do nothing"


def _idle(post: Post, judged: Judged, seen: str | None) -> Idle:
    """Return the row of a rule that asks for nothing; one for all targets that are alike."""
    idle = post.idle.get(seen)
    if idle is None or idle.judged is not judged:
        inputs = (seen_by(post.rule, judged),)
        idle = post.idle[seen] = Idle(post.group, post.rule, judged, inputs)
    return idle
