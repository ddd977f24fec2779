"""Adversaries: ways in which a replica can lie, each a lens on an honest one.

`behaviour` says what a lens can do, `byzantine` puts lenses around an engine, `behaviours` holds them, and `catalogue`
finds them by their names. The same class misbehaves in a simulation and, as a process with its own key, against a real
group. No replica that `bftledger` runs loads any of this.
"""
