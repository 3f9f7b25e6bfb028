"""The same endpoints on the same database, as people usually write them."""
