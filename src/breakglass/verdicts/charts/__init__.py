"""Pictures of a gate: drawn as SVG by hand, so a page needs nothing but itself."""
