"""The archiver: stores every commit beyond deletion, in another account, and only then cosigns."""
