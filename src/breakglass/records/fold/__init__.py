"""Records in, state out: one pure function that every party shares."""
