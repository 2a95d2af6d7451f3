"""What each key of a rule file means, in a sentence; the schema and docs/rule-file.md show it."""

SELECTED = "The labels of the devices that it is about; without it, all devices of the knob."
ONLY = "Labels and patterns (regular expressions of whole values) that must all match."
EXCEPT = "Labels and patterns of which one that matches leaves a device out."

DESCRIPTIONS = {
    "version": "The version of the language.",
    "strategy": "Defaults for the step, the floor, the cooldown and the slowdown of rules.",
    "enforce": "Whether knobs are written without --enforce; every file must say true.",
    "include": "Other rule files, seen from this one's folder; the last part may be a pattern.",
    "groups": "Rules that share an interval and guards.",
    "groups.name": "The name of the group, which is a label; no other group has it.",
    "groups.interval": "The time between two looks, at least 1s; 15s unless given.",
    "groups.targets": SELECTED,
    "groups.targets.only": ONLY,
    "groups.targets.except": EXCEPT,
    "groups.protect": "The guards of every rule of the group.",
    "groups.protect.sla": "While this is broken, what it concerns is put back and left alone.",
    "groups.protect.sla.expr": "PromQL that returns a series while the promise is broken.",
    "groups.protect.sla.then": "What is done then: restore.",
    "groups.protect.sla.rearm": "How long it must be kept before rules tighten again; 60s.",
    "groups.protect.thermal": "While it is too hot, the knobs are at their floor.",
    "groups.protect.thermal.expr": "PromQL that returns a series for what is too hot.",
    "groups.protect.thermal.clear": "PromQL that returns a series for what has cooled down; "
    "without it, the absence of expr clears.",
    "groups.protect.thermal.then": "What is done then.",
    "groups.protect.thermal.then.set": "Where the knob goes: min, the floor of the rule.",
    "groups.protect.freshness": "PromQL of the unix time at which each exporter last read its "
    "devices; energy_source_last_sample_timestamp_seconds unless given.",
    "groups.protect.max_age": "How old the last reading may be; older is unknown, and unknown "
    "never tightens. 45s, at least 1s.",
    "groups.protect.hold": "How long a claim outlives the data that it was made on; 120s.",
    "groups.rules": "What to turn, when, and how.",
    "groups.rules.action": "The name of the rule, which is a label; no other rule has it.",
    "groups.rules.expr": "PromQL: each series names a device. For minimise, what is made small.",
    "groups.rules.for": "How long the condition must have been true first; 0s.",
    "groups.rules.knob": "What is turned; docs/knobs.md tells each.",
    "groups.rules.step": "A change at each look while the condition is true: a size with its "
    "sign, or down or up by the strategy's step.",
    "groups.rules.set": "A value for as long as the condition is true.",
    "groups.rules.scale": "A part of the value from before us, for as long as it is true.",
    "groups.rules.pid": "Keep the value of expr at a target.",
    "groups.rules.pid.target": "The value to keep, in the unit of expr: a number, or a duration.",
    "groups.rules.pid.kp": "Gain of the error; 2.0. Below 0 where the knob lowers the value.",
    "groups.rules.pid.ki": "Gain of the error's integral over seconds; 0.2.",
    "groups.rules.pid.kd": "Gain of the value's slope per second; 0.1.",
    "groups.rules.pid.tolerance": "How near is near enough; 0.",
    "groups.rules.pid.scale": "Whether the output is in the knob's unit (linear) or in doublings "
    "(log); as the knob is unless given.",
    "groups.rules.minimise": "Search for the value at which an expression is least.",
    "groups.rules.minimise.expr": "PromQL of what is made small, such as joules per token.",
    "groups.rules.minimise.subject_to": "PromQL that returns a series while all is well.",
    "groups.rules.minimise.work": "PromQL of the throughput, of which slowdown may be lost.",
    "groups.rules.minimise.load": "PromQL of the load; only like loads are compared.",
    "groups.rules.minimise.slowdown": "How much of work may be lost; the strategy's unless given.",
    "groups.rules.minimise.step": "How far it goes at once, at most 10%; 5%.",
    "groups.rules.minimise.settle": "How long it waits after a change; 30s.",
    "groups.rules.minimise.samples": "How many samples make a point, 2 to 100; 4.",
    "groups.rules.minimise.rest": "How long it rests before another search, at least 60s; 30m.",
    "groups.rules.budget": "Watts for all devices of the rule together, shared by need.",
    "groups.rules.min": "The floor; the strategy's unless given. Percent is of the device's "
    "highest value.",
    "groups.rules.max": "The ceiling; what was set before us unless given.",
    "groups.rules.cooldown": "The time between two tightenings; the strategy's, or none where "
    "the law paces itself or slew is given.",
    "groups.rules.keep": "With set and scale: how long the condition counts as true after it was.",
    "groups.rules.class": "Whose claims a loosening rule may lift: its own class's and below. "
    "cost, or budget for the law of that name, unless given.",
    "groups.rules.deadband": "A smaller change is not worth a write.",
    "groups.rules.slew": "The most that one look tightens.",
    "groups.rules.rate": "How many changes of a knob there may be.",
    "groups.rules.rate.changes": "How many, a whole number above 0.",
    "groups.rules.rate.per": "In which time; 1h, at least 1s.",
    "groups.rules.active": "When the rule acts; always unless given.",
    "groups.rules.active.windows": "Daily windows with commas between them, such as "
    "00:00-06:00,22:00-24:00; one may go over midnight.",
    "groups.rules.active.zone": "The time zone of the windows, such as Europe/Paris; UTC.",
    "groups.rules.targets": SELECTED,
    "groups.rules.targets.only": ONLY,
    "groups.rules.targets.except": EXCEPT,
}
