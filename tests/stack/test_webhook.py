"""The receiver takes what Alertmanager sends, and nothing else."""

import pytest

from wattgov_stack.ask import direct
from wattgov_stack.layout import LOOPBACK
from wattgov_stack.webhook import Notice, Receiver


def test_a_notification_is_kept() -> None:
    """Each alert of a notification is a notice; keys that are not known are no trouble."""
    body = {
        "version": "4",
        "notification_reason": "new",
        "alerts": [
            {"status": "firing", "labels": {"alertname": "A"}, "annotations": {"summary": "s"}},
            {"status": "resolved", "labels": {"alertname": "B"}},
        ],
    }
    with Receiver((LOOPBACK, 0)) as receiver:
        answer = direct().post(f"http://{LOOPBACK}:{receiver.server_port}", json=body, timeout=10)

        assert 200 == answer.status_code
        assert [Notice("A", "firing", "s"), Notice("B", "resolved", "")] == receiver.notices


@pytest.mark.parametrize("body", ["", "{", "[]", '{"alerts": 3}', '{"alerts": [{"status": "x"}]}'])
def test_what_is_no_notification_is_refused(body: str) -> None:
    """It answers 400 and keeps nothing."""
    with Receiver((LOOPBACK, 0)) as receiver:
        answer = direct().post(f"http://{LOOPBACK}:{receiver.server_port}", data=body, timeout=10)

        assert 400 == answer.status_code
        assert [] == receiver.notices
