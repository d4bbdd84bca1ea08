"""The parts of training beside the loop, which is :mod:`invdn.train`."""
