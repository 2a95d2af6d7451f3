"""The election at work: a thread that renews a Lease of Kubernetes, or waits to take it."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from http import HTTPStatus
from math import inf
from threading import Event, Thread
from typing import Self
from uuid import uuid4

from wattgov_actuator.connection import Connection
from wattgov_actuator.election.protocol import (
    NOBODY,
    RENEW_SECONDS,
    RETRY_SECONDS,
    Seen,
    Step,
    held_of,
    seen,
    spec_of,
    step,
)
from wattgov_actuator.knobs.kubernetes.api import Api, Thing, path_of
from wattgov_actuator.knobs.kubernetes.cluster import cluster_of
from wattgov_actuator.logfmt import line
from wattgov_actuator.reading import Clock, Fault, KnobError
from wattgov_actuator.rules import Kind, RuleSet

LOG = logging.getLogger(__name__)
GROUP, LEASES = "coordination.k8s.io/v1", "leases"
WAIT_SECONDS = 3.0  # for an answer; a few fit before others may take the lease


class Elector:
    """One candidate; `leads` may be asked from any thread, and is true only while it is certain."""

    def __init__(
        self,
        way: Connection,
        lease: str,
        me: str,
        now: Clock,
        changed: Callable[[], None],
    ) -> None:
        """Take a connection to the cluster, NAMESPACE/NAME, and who is told of a change."""
        self._api = Api(replace(way, timeout_seconds=WAIT_SECONDS), tries=1)
        self._namespace, _, self._name = lease.partition("/")
        self._me, self._now, self._changed = me, now, changed
        self._there: Seen | None = None
        self._until = -inf
        self._told = False
        self._trouble = ""
        self._stop = Event()
        self._thread = Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End; the lease is given back, so that nobody has to wait until it is over."""
        self._stop.set()
        self._thread.join()
        self.give_back()
        self._api.close()

    def leads(self) -> bool:
        """Tell whether nobody else can have taken the lease."""
        return self._now().steady < self._until

    def turn(self) -> None:
        """Look at the lease once, renew or take it if that is for us, and tell of a change."""
        try:
            self._turn()
        except KnobError as error:
            self._noted(error.detail)
        else:
            self._noted("")
        leads = self.leads()
        if leads != self._told:
            self._told = leads
            LOG.info(line("elected" if leads else "not_elected", lease=self._what, me=self._me))
            self._changed()

    def give_back(self) -> None:
        """Say that nobody holds it, if we do."""
        self._until, self._told = -inf, False
        try:
            found = self._found()
            if found is not None and held_of(found).holder == self._me:
                spec = {**found["spec"], "holderIdentity": NOBODY, "leaseDurationSeconds": 1}
                self._put(found, spec)
        except KnobError as error:
            self._noted(error.detail)

    def _work(self) -> None:
        while True:
            self.turn()
            if self._stop.wait(RETRY_SECONDS):
                return

    def _turn(self) -> None:
        began = self._now()  # before it is asked: the answer may take its time
        found = self._found()
        held = None if found is None else held_of(found)
        self._there = seen(self._there, held, self._now().steady)
        match step(self._there, self._me, began.steady):
            case Step.WAIT:
                self._until = -inf
            case _:
                if self._put(found, dict(spec_of(held, self._me, began.unix))):
                    if not self.leads():  # who asked since it was over knows no better: tell anew
                        self._told = False
                    self._until = began.steady + RENEW_SECONDS

    def _found(self) -> Thing | None:
        reply = self._api.ask("GET", self._path)
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        found = self._api.told("GET", self._path, reply)
        try:  # what stands in for the API server may say anything; it must not end our thread
            held_of(found)
            found["metadata"]["resourceVersion"]
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            detail = f"{reply.url} answered with what is no Lease: {error!r}"
            raise KnobError(Fault.LOST, detail) from None
        return found

    def _put(self, found: Thing | None, spec: Thing) -> bool:
        """Write the lease as we want it; return whether nobody was faster."""
        if found is None:
            verb, path = "POST", path_of(GROUP, self._namespace, LEASES)
            meta = {"name": self._name, "namespace": self._namespace}
        else:  # with its version: a change since we looked is a conflict
            verb, path, meta = "PUT", self._path, found["metadata"]
        kind = {"apiVersion": GROUP, "kind": "Lease"}
        reply = self._api.ask(verb, path, {**kind, "metadata": meta, "spec": spec})
        if reply.status == HTTPStatus.CONFLICT:
            return False
        self._api.told(verb, path, reply)
        return True

    def _noted(self, trouble: str) -> None:
        """Log a trouble when it is new."""
        if trouble and trouble != self._trouble:
            LOG.warning(line("election_failed", lease=self._what, detail=trouble))
        self._trouble = trouble

    @property
    def _path(self) -> str:
        return path_of(GROUP, self._namespace, LEASES, self._name)

    @property
    def _what(self) -> str:
        return f"{self._namespace}/{self._name}"


def standing(
    lease: str | None,
    rules: RuleSet,
    kinds: Mapping[str, Kind],
    now: Clock,
    changed: Callable[[], None],
) -> Elector | None:
    """Return who stands for election; None where nobody asks for one."""
    if lease is None:
        return None
    way = cluster_of(rules, kinds)
    return Elector(way, lease, f"{os.uname().nodename}_{uuid4()}", now, changed)
