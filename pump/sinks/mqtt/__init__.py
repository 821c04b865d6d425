"""An MQTT broker: events on topics, the present as retained states, Home Assistant's discovery."""

from pump.sinks.mqtt.sink import MqttSink as SINK

__all__ = ["SINK"]
