"""Measurements that README and docs quote; each module prints one table: ``python -m benchmarks.NAME``."""
