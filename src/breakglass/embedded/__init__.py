"""The whole organisation on one machine: for trying out, for the demo and for tests."""
