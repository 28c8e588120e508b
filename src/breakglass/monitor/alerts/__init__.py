"""From news to people: channels, an outbox for each, and the threads that empty them."""
