"""The report page: one static folder that opens without a network."""
