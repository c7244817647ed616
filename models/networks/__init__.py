"""The networks: regressor, recogniser and the labelling networks."""
