"""Commands by MQTT: topics and words, Home Assistant's discovery of what can be commanded, the connection."""
