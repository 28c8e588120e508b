"""What several rooms' tests use: vectors, and honest simulators."""
