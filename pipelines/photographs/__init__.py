"""Photographs of any origin as one data set: checked, converted, split by identity and stored in shards."""
