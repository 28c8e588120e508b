"""The kinds of record, one file each: form, who may state it, and its judge."""
