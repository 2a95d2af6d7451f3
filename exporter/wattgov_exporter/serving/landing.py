"""The first page: what was found here, and why the rest is off."""

import html

from wattgov_exporter.rows import View

_STYLE = (
    "body{font:16px/1.5 system-ui;margin:3rem auto;max-width:50rem;padding:0 1rem}"
    "td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}"
)


def landing(view: View | None) -> bytes:
    """Return the page; everything that came from the machine is escaped."""
    snapshot = view.snapshot if view else None
    sources = "".join(
        f"<tr><td>{html.escape(one.name)}<td>{one.reason.value}<td>{html.escape(one.detail)}"
        for one in (snapshot.sources if snapshot else ())
    )
    meters = "".join(
        f"<tr><td>{component.value}<td>{html.escape(one.source)}<td>{one.method.value}"
        for component, one in (snapshot.chosen.items() if snapshot else ())
    )
    watts = "no sample yet"
    if snapshot:
        watts = (
            "no meter" if snapshot.total is None else "{1:.1f} W now ({0})".format(*snapshot.total)
        )
    version = f" {html.escape(view.own.version)}" if view else ""
    replay = html.escape(view.own.replay or "") if view else ""
    told = f"<p><b>A replay of {replay}: another machine, recorded; not this one.</b></p>"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Wattgov exporter</title>"
        f"<style>{_STYLE}</style><h1>Wattgov exporter{version}</h1>"
        f"{told if replay else ''}"
        f"<p>{watts}. <a href=/metrics>/metrics</a> <a href=/-/healthy>/-/healthy</a> "
        "<a href=/-/ready>/-/ready</a></p>"
        f"<table><tr><th>component<th>meter<th>method{meters}</table>"
        f"<table><tr><th>source<th>state<th>why{sources}</table></html>"
    ).encode()
