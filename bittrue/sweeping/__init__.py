"""Sweep a space of accelerators: points, engines that evaluate them, a store that survives a kill, Pareto fronts."""
