"""What the benchmarks measure with: groups of real processes, loads, calibration, and the form of a result.

`bftledger bench` and the scripts of `bench/` are made of these; pictures and pages are only the scripts'.
"""
