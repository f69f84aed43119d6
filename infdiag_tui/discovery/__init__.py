"""Finds model servers, in the clusters that the operator may read and on this machine, and writes a config for them."""
