"""Relays that share a store: what Redis says is used, and which way each of them counts."""


def usage(relay, tenant):
    """Rows of `quota show`: the tool asks Redis, not the daemon."""
    return relay.gate.tool_json("quota", "show", tenant)["usage"]


def used(relay, tenant, quota="hourly"):
    return sum(row["used"] for row in usage(relay, tenant) if row["quota"] == quota)


def modes(relay):
    """Changes on the record: "local", "shared", ... A warning about the store has none."""
    return [r["detail"]["mode"] for r in relay.gate.records("ops") if r["event"] == "store" and "mode" in r["detail"]]


def is_shared(relay):
    return modes(relay)[-1:] in ([], ["shared"])


def counted(relay, tenant):
    """How its accepted messages were counted, by their records."""
    return {action for record in relay.gate.mail_records(tenant=tenant, event="accepted")
            for action in record.get("actions", ()) if action.startswith("quota:")}
