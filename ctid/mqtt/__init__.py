"""The door to the desktop: what the screens show goes out, what people ask for comes in, over MQTT 5."""
