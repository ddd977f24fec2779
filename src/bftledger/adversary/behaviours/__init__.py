"""The behaviours, by what they abuse: a primary's power, votes, view changes, certificates, the transfer of state,
the patience of those who listen, clients."""
