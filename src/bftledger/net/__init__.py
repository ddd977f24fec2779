"""How frames travel: between replicas, and between clients and replicas. What they say is none of its business.

`transport` is the protocol that the node is written against, `zmq` the replica's side over ZeroMQ, `dealer` the
client's side, `curve` the keys of both, `options` every socket option and limit with its reason.
"""
