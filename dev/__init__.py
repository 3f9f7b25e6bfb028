"""Commands for developing on one machine; the product never imports them."""
