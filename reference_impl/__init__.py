"""A legal reference for the Parameter Golf challenge: what a submission may do, done fast."""
