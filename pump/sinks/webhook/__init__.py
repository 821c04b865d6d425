"""CloudEvents by HTTP POST, signed by the Standard Webhooks specification."""

from pump.sinks.webhook.sink import WebhookSink as SINK

__all__ = ["SINK"]
