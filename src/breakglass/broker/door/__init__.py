"""The custodians' door, as the broker keeps it: asked, signed by custodians, appended on return."""
