"""Benchmarks: each prints one JSON object as its last line, with the hardware it ran on."""
