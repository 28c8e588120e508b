"""Histories made from what an organisation already has: a repository, tables, GitHub's exports."""
