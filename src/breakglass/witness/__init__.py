"""A witness: cosigns that a log's heads only ever grow; sees no entries. C2SP tlog-witness."""
