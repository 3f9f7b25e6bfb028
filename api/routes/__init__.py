"""Views: the contract above, one call of a service below."""
