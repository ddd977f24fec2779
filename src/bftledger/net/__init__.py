"""How frames travel: between replicas, and between clients and replicas. What they say is none of its business.

`transport` is the protocol that the node is written against, `zmq` the replica's side over ZeroMQ, `dealer` the
client's side, `curve` the keys of both, `options` every socket option and limit with its reason. What ZeroMQ does not
bound by itself: `backlog` the bytes that wait for who does not read, `connections` who has a place, `members` that a
replica has one.
"""
