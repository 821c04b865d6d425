"""Pictures and clips behind links: fetched beside the events, before the links die."""
