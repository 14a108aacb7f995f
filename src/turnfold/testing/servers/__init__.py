"""Servers of a test's own, real ones: started in a folder on a loopback port, killed and started again at will."""
